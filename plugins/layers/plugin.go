package layers

import "github.com/hone-ml/hone/sdk"

// Version is the plugin's version; it moves with hone's.
const Version = "0.1.0"

// Plugin describes all that this package offers.
func Plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "layers",
		Version: Version,
		Layers: sdk.Layers{
			"activation":               layer[Activation],
			"add":                      layer[Add],
			"average":                  layer[Average],
			"average_pooling2d":        layer[AveragePooling2D],
			"batch_norm":               layer[BatchNorm],
			"concat":                   layer[Concat],
			"conv2d":                   layer[Conv2D],
			"dense":                    layer[Dense],
			"depthwise_conv2d":         layer[DepthwiseConv2D],
			"dropout":                  layer[Dropout],
			"elu":                      layer[ELU],
			"embedding":                layer[Embedding],
			"exponential":              layer[Exponential],
			"flatten":                  layer[Flatten],
			"gelu":                     layer[GELU],
			"global_average_pooling2d": layer[GlobalAveragePooling2D],
			"global_max_pooling2d":     layer[GlobalMaxPooling2D],
			"hard_sigmoid":             layer[HardSigmoid],
			"hard_silu":                layer[HardSiLU],
			"layer_norm":               layer[LayerNorm],
			"leaky_relu":               layer[LeakyReLU],
			"linear":                   layer[Linear],
			"log_softmax":              layer[LogSoftmax],
			"max_pooling2d":            layer[MaxPooling2D],
			"maximum":                  layer[Maximum],
			"mish":                     layer[Mish],
			"multiply":                 layer[Multiply],
			"relu":                     layer[ReLU],
			"relu6":                    layer[ReLU6],
			"resnet50":                 layer[ResNet50],
			"reshape":                  layer[Reshape],
			"selu":                     layer[SELU],
			"separable_conv2d":         layer[SeparableConv2D],
			"sigmoid":                  layer[Sigmoid],
			"silu":                     layer[SiLU],
			"simple_rnn":               layer[SimpleRNN],
			"softmax":                  layer[Softmax],
			"softplus":                 layer[Softplus],
			"softsign":                 layer[Softsign],
			"tanh":                     layer[Tanh],
			"vgg16":                    layer[VGG16],
			"zero_padding2d":           layer[ZeroPadding2D],
		},
		Initializers: sdk.Initializers{
			"constant":         initializer[Constant],
			"glorot_normal":    func() sdk.Initializer { return &scaled{1, fanAvg, true} },
			"glorot_uniform":   func() sdk.Initializer { return &scaled{1, fanAvg, false} },
			"he_normal":        func() sdk.Initializer { return &scaled{2, fanIn, true} },
			"he_uniform":       func() sdk.Initializer { return &scaled{2, fanIn, false} },
			"lecun_normal":     func() sdk.Initializer { return &scaled{1, fanIn, true} },
			"lecun_uniform":    func() sdk.Initializer { return &scaled{1, fanIn, false} },
			"ones":             initializer[Ones],
			"orthogonal":       initializer[Orthogonal],
			"random_normal":    initializer[RandomNormal],
			"random_uniform":   initializer[RandomUniform],
			"truncated_normal": initializer[TruncatedNormal],
			"variance_scaling": initializer[VarianceScaling],
			"zeros":            initializer[Zeros],
		},
		Regularizers: sdk.Regularizers{
			"l1":    func() sdk.Regularizer { return &L1{} },
			"l1_l2": func() sdk.Regularizer { return &L1L2{} },
			"l2":    func() sdk.Regularizer { return &L2{} },
		},
		Constraints: sdk.Constraints{
			"max_norm":     func() sdk.Constraint { return &MaxNorm{} },
			"min_max_norm": func() sdk.Constraint { return &MinMaxNorm{} },
			"non_neg":      func() sdk.Constraint { return &NonNeg{} },
			"unit_norm":    func() sdk.Constraint { return &UnitNorm{} },
		},
		Losses: sdk.Losses{
			"binary_crossentropy":             func() sdk.Loss { return &BinaryCrossentropy{} },
			"categorical_crossentropy":        func() sdk.Loss { return &CategoricalCrossentropy{} },
			"huber":                           func() sdk.Loss { return &Huber{} },
			"mean_absolute_error":             func() sdk.Loss { return &MeanAbsoluteError{} },
			"mean_squared_error":              func() sdk.Loss { return &MeanSquaredError{} },
			"sparse_categorical_crossentropy": func() sdk.Loss { return &SparseCategoricalCrossentropy{} },
		},
		Metrics: sdk.Metrics{
			"accuracy":                          metric[Accuracy],
			"auc":                               metric[AUC],
			"binary_accuracy":                   metric[BinaryAccuracy],
			"binary_crossentropy":               metric[BinaryCrossentropyMetric],
			"categorical_accuracy":              metric[CategoricalAccuracy],
			"categorical_crossentropy":          metric[CategoricalCrossentropyMetric],
			"f1_score":                          metric[F1Score],
			"mean_absolute_error":               metric[MeanAbsoluteErrorMetric],
			"mean_squared_error":                metric[MeanSquaredErrorMetric],
			"precision":                         metric[Precision],
			"recall":                            metric[Recall],
			"root_mean_squared_error":           metric[RootMeanSquaredError],
			"sparse_categorical_accuracy":       metric[SparseCategoricalAccuracy],
			"sparse_categorical_crossentropy":   metric[SparseCategoricalCrossentropyMetric],
			"sparse_top_k_categorical_accuracy": metric[SparseTopKCategoricalAccuracy],
			"top_k_categorical_accuracy":        metric[TopKCategoricalAccuracy],
		},
	}
}

func layer[T any, P interface {
	*T
	sdk.Layer
}]() sdk.Layer {
	return P(new(T))
}

func initializer[T any, P interface {
	*T
	sdk.Initializer
}]() sdk.Initializer {
	return P(new(T))
}

func metric[T any, P interface {
	*T
	sdk.Metric
}]() sdk.Metric {
	return P(new(T))
}
