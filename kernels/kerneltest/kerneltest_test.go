package kerneltest_test

import (
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/kerneltest"
	"github.com/hone-ml/hone/kernels/reference"
)

func TestReference(t *testing.T) {
	kerneltest.Run(t, func(testing.TB) kernels.Backend { return reference.New() }, kerneltest.Options{})
}
