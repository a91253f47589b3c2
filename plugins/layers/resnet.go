package layers

import (
	"fmt"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// ResNet50 is the network of He and others, "Deep residual learning for image
// recognition" (2015), as Keras builds it: the stride of a stage is that of its
// first block's first convolution, and every convolution has a bias. The names
// are Keras's: conv1_conv, conv2_block1_1_conv, ..., conv5_block3_out, avg_pool
// and predictions. Images are of any size from 32 x 32, with any number of channels.
type ResNet50 struct{ top }

// Doc describes the network.
func (*ResNet50) Doc() string {
	return "ResNet50: a stem, sixteen residual blocks in four stages and a dense classifier, named as in Keras."
}

// Build writes the network.
func (r *ResNet50) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	n := &residual{network{b}}
	if !n.images("resnet50", 32, x) {
		return x
	}
	linear := sdk.Component{}
	x = n.layer("conv1_pad", &ZeroPadding2D{Padding: []int{3}}, x)
	x = n.conv("conv1_conv", 64, 7, 2, "valid", linear, x)
	x = n.relu("conv1_relu", n.norm("conv1_bn", x))
	x = n.layer("pool1_pad", &ZeroPadding2D{Padding: []int{1}}, x)
	x = n.maxPool("pool1_pool", 3, 2, x)
	for i, stage := range []struct{ blocks, filters, stride int }{{3, 64, 1}, {4, 128, 2}, {6, 256, 2}, {3, 512, 2}} {
		for j := range stage.blocks {
			stride := 1
			if j == 0 {
				stride = stage.stride
			}
			x = n.block(fmt.Sprintf("conv%d_block%d", i+2, j+1), stage.filters, stride, j == 0, x)
		}
	}
	if !r.IncludeTop {
		return r.pooled(&n.network, x)
	}
	return r.predictions(&n.network, n.layer("avg_pool", &GlobalAveragePooling2D{}, x))
}

// residual builds networks of residual blocks.
type residual struct{ network }

// block adds three convolutions, of sizes 1, 3 and 1, to what went in; project
// brings that to as many channels first.
func (n *residual) block(name string, filters, stride int, project bool, x graph.Value) graph.Value {
	linear := sdk.Component{}
	shortcut := x
	if project {
		shortcut = n.norm(name+"_0_bn", n.conv(name+"_0_conv", 4*filters, 1, stride, "valid", linear, x))
	}
	y := n.conv(name+"_1_conv", filters, 1, stride, "valid", linear, x)
	y = n.relu(name+"_1_relu", n.norm(name+"_1_bn", y))
	y = n.conv(name+"_2_conv", filters, 3, 1, "same", linear, y)
	y = n.relu(name+"_2_relu", n.norm(name+"_2_bn", y))
	y = n.conv(name+"_3_conv", 4*filters, 1, 1, "valid", linear, y)
	y = n.norm(name+"_3_bn", y)
	return n.relu(name+"_out", n.layer(name+"_add", &Add{}, shortcut, y))
}

// norm is a batch norm with the epsilon of Keras's ResNets.
func (n *residual) norm(name string, x graph.Value) graph.Value {
	l := sdk.Defaults(&BatchNorm{})
	l.Epsilon = 1.001e-5
	return n.layer(name, l, x)
}

func (n *residual) relu(name string, x graph.Value) graph.Value {
	return n.layer(name, sdk.Defaults(&ReLU{}), x)
}
