package layers

import (
	"fmt"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// top is what the whole networks share: how their last features leave them.
type top struct {
	IncludeTop           bool          `hone:"include_top,default=true" doc:"Whether the classifier follows the convolutions."`
	Classes              int           `hone:"classes,default=1000,min=1" doc:"Number of classes of the classifier."`
	ClassifierActivation sdk.Component `hone:"classifier_activation,kind=layer,default=softmax" doc:"Applied to the classifier's result; linear leaves logits."`
	Pooling              string        `hone:"pooling,default=none,enum=none|avg|max" doc:"What follows the convolutions without the classifier: avg or max over each channel, or none, which leaves images."`
}

// pooled ends a network that has no classifier.
func (t *top) pooled(n *network, x graph.Value) graph.Value {
	switch t.Pooling {
	case "avg":
		return n.layer("avg_pool", &GlobalAveragePooling2D{}, x)
	case "max":
		return n.layer("max_pool", &GlobalMaxPooling2D{}, x)
	}
	return x
}

// predictions classifies vectors.
func (t *top) predictions(n *network, x graph.Value) graph.Value {
	return n.dense("predictions", t.Classes, t.ClassifierActivation, x)
}

// network builds a whole network out of this package's layers, each under the
// name that it has in Keras.
type network struct{ *sdk.LayerBuilder }

func (n *network) layer(name string, l sdk.Layer, inputs ...graph.Value) graph.Value {
	return n.Layer(name, l, inputs...)
}

func (n *network) dense(name string, units int, activation sdk.Component, x graph.Value) graph.Value {
	d := sdk.Defaults(&Dense{Units: units})
	d.Activation = activation
	return n.layer(name, d, x)
}

func (n *network) conv(name string, filters, size, stride int, padding string, activation sdk.Component, x graph.Value) graph.Value {
	c := sdk.Defaults(&Conv2D{Filters: filters})
	c.KernelSize, c.Strides, c.Padding, c.Activation = []int{size}, []int{stride}, padding, activation
	return n.layer(name, c, x)
}

func (n *network) maxPool(name string, size, stride int, x graph.Value) graph.Value {
	p := sdk.Defaults(&MaxPooling2D{})
	p.PoolSize, p.Strides = []int{size}, []int{stride}
	return n.layer(name, p, x)
}

// images checks the input of a network whose result would vanish below the
// smallest height and width.
func (n *network) images(name string, smallest int64, x graph.Value) bool {
	if !wantImages(n.LayerBuilder, x) {
		return false
	}
	if h, w := x.ConstDim(1), x.ConstDim(2); h < smallest || w < smallest {
		n.Failf("%s takes images of at least %d x %d, these are %d x %d; put a resize transform before", name, smallest, smallest, h, w)
		return false
	}
	return true
}

// VGG16 is the network of Simonyan and Zisserman, "Very deep convolutional
// networks for large-scale image recognition" (2014), configuration D, with
// Keras's names: block1_conv1 to block5_pool, then flatten, fc1, fc2 and
// predictions. Images are of any size from 32 x 32, with any number of channels.
type VGG16 struct{ top }

// Doc describes the network.
func (*VGG16) Doc() string {
	return "VGG16: thirteen convolutions in five blocks and a classifier of three dense layers, named as in Keras."
}

// Build writes the network.
func (v *VGG16) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	n := &network{b}
	if !n.images("vgg16", 32, x) {
		return x
	}
	relu := sdk.Named("relu")
	for i, block := range []struct{ convs, filters int }{{2, 64}, {2, 128}, {3, 256}, {3, 512}, {3, 512}} {
		for j := range block.convs {
			x = n.conv(fmt.Sprintf("block%d_conv%d", i+1, j+1), block.filters, 3, 1, "same", relu, x)
		}
		x = n.maxPool(fmt.Sprintf("block%d_pool", i+1), 2, 2, x)
	}
	if !v.IncludeTop {
		return v.pooled(n, x)
	}
	x = n.layer("flatten", &Flatten{}, x)
	x = n.dense("fc1", 4096, relu, x)
	x = n.dense("fc2", 4096, relu, x)
	return v.predictions(n, x)
}
