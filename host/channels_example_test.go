package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/plugins/builtin"
)

// Channels are removed from a checkpoint alone: what comes out is the model built
// smaller, which opens and trains on like any other.
func ExampleModel_RemoveChannels() {
	dir, err := os.MkdirTemp("", "hone")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	p, err := host.Load("../examples/digits", host.Options{Builtin: builtin.InProcess()})
	if err != nil {
		fmt.Println(err)
		return
	}
	whole, small := filepath.Join(dir, "whole.hone"), filepath.Join(dir, "small.hone")
	if _, err := p.Train(context.Background(), host.TrainOptions{Out: whole}); err != nil {
		fmt.Println(err)
		return
	}
	m, err := host.Open(whole, host.Options{NoPlugins: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	groups, err := m.Channels()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, g := range groups {
		fmt.Println(g)
	}
	if err := m.RemoveChannels(small, groups[0].Channel(0, 1, 2, 3)); err != nil {
		fmt.Println(err)
		return
	}
	less, err := host.Open(small, host.Options{NoPlugins: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer less.Close()
	groups, err = less.Channels()
	fmt.Println(groups, err)

	// What is coupled to an output is refused, and says so.
	fmt.Println(m.RemoveChannels(small, host.Channel("logits.bias", 0, 9)) != nil)
	// Output:
	// 64 of hidden.kernel[1], hidden.bias[0], logits.kernel[0]
	// [60 of hidden.kernel[1], hidden.bias[0], logits.kernel[0]] <nil>
	// true
}
