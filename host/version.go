package host

// Version is hone's version. Nothing is promised before v0.1.0.
const Version = "0.1.0-dev"
