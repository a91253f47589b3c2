//go:build !linux

package plugin

import (
	"io"
	"os"
	"runtime"
)

var exeSuffix = map[bool]string{true: ".exe"}[runtime.GOOS == "windows"]

func sealedImage(name string, f io.ReadSeeker) (*image, error) { return privateImage(name, f) }

func selfPath() (string, error) { return os.Executable() }
