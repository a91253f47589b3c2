package process_test

import (
	"context"
	"fmt"
	"net"

	"github.com/hone-ml/hone/kernels/process"
	"github.com/hone-ml/hone/kernels/reference"
)

// A backend's binary calls ServeStdio, and the host Start; any connection will
// do for Serve and Dial.
func ExampleServe() {
	here, there := net.Pipe()
	go process.Serve(context.Background(), there, reference.New())
	b, err := process.Dial(context.Background(), here, process.Config{Name: `"mine"`})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	fmt.Println(b.Name(), b.Devices()[0].Name)
	// Output: reference cpu
}
