package spec_test

import (
	"fmt"

	"github.com/hone-ml/hone/host/internal/spec"
)

// A Spec built in Go is the same as one read from HCL, and prints as it.
func Example() {
	s := &spec.Spec{
		Data: []spec.Data{{
			Type: spec.Type("idx"), Name: "mnist",
			Args:       spec.Args{spec.Arg("path", "mnist")},
			Transforms: []spec.Transform{{Type: spec.Type("rescale"), Name: "rescale", Args: spec.Args{spec.Arg("scale", 1.0/255)}}},
		}},
		Models: []spec.Model{{
			Name:   "mlp",
			Inputs: []spec.Input{{Name: "image", Shape: []int{28, 28}}},
			Layers: []spec.Layer{
				{Type: spec.Type("flatten"), Name: "flat"},
				{Type: spec.Type("dense"), Name: "hidden", Args: spec.Args{
					spec.Arg("units", 128),
					spec.Arg("activation", "relu"),
					spec.Arg("kernel_regularizer", spec.Component{Type: spec.Type("l2"), Args: spec.Args{spec.Arg("l", 0.01)}}),
				}},
				{Type: spec.Type("dense"), Name: "logits", Args: spec.Args{spec.Arg("units", 10)}},
			},
		}},
		Train: &spec.Train{
			Epochs:    5,
			BatchSize: 32,
			Losses:    []spec.Loss{{Type: spec.Type("sparse_categorical_crossentropy"), Args: spec.Args{spec.Arg("from_logits", true)}}},
			Optimizer: &spec.Optimizer{Type: spec.Type("adam")},
		},
	}
	if err := s.Validate().Err(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(string(s.Print()))
	// Output:
	// data "idx" "mnist" {
	//   path = "mnist"
	//   transform "rescale" "rescale" {
	//     scale = 0.00392156862745098
	//   }
	// }
	//
	// model "mlp" {
	//   input "image" {
	//     shape = [28, 28]
	//   }
	//   layer "flatten" "flat" {}
	//   layer "dense" "hidden" {
	//     units      = 128
	//     activation = "relu"
	//     kernel_regularizer "l2" {
	//       l = 0.01
	//     }
	//   }
	//   layer "dense" "logits" {
	//     units = 10
	//   }
	// }
	//
	// train {
	//   epochs     = 5
	//   batch_size = 32
	//   loss "sparse_categorical_crossentropy" {
	//     from_logits = true
	//   }
	//   optimizer "adam" {}
	// }
}

func ExampleMatchPath() {
	fmt.Println(spec.MatchPath("s3[*].conv1", "s3[2].conv1.kernel"))
	fmt.Println(spec.MatchPath("**.bias", "s3[2].conv1.kernel"))
	// Output:
	// true
	// false
}
