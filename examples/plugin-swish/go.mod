module github.com/acme/hone-swish

go 1.26.8

require github.com/hone-ml/hone v0.1.0
