// Package preprocess is hone's first-party plugin of transforms of tables and
// images. It imports the SDK alone. Start reading at Plugin.
package preprocess
