package builtin_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/plugins/builtin"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

var bundle sdk.Bundle

func TestMain(m *testing.M) {
	bundle = builtin.Main()
	os.Exit(m.Run())
}

func tensor(d graph.DType, extents ...int64) graph.Type {
	return graph.Type{DType: d, Shape: append(graph.Shape{graph.Batch}, graph.ShapeOf(extents...)...)}
}

// cases has at least one of every component; a test counts.
func cases() []plugintest.Case {
	var all []plugintest.Case
	add := func(kind sdk.Kind, typ string, c plugintest.Config, inputs ...graph.Type) *plugintest.Case {
		all = append(all, plugintest.Case{Kind: kind, Type: typ, Config: c, Inputs: inputs})
		return &all[len(all)-1]
	}
	vector, image := tensor(graph.F32, 6), tensor(graph.F32, 6, 5, 4)
	for _, typ := range []string{"elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "linear", "log_softmax", "mish", "relu", "relu6",
		"selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh", "layer_norm", "batch_norm", "flatten"} {
		add(sdk.LayerKind, typ, nil, vector)
	}
	add(sdk.LayerKind, "relu", plugintest.Config{"negative_slope": 0.1, "max_value": 0.7, "threshold": 0.2}, vector)
	add(sdk.LayerKind, "gelu", plugintest.Config{"approximate": true}, vector)
	add(sdk.LayerKind, "activation", plugintest.Config{"activation": "tanh"}, vector)
	add(sdk.LayerKind, "dense", plugintest.Config{"units": 3, "activation": "gelu"}, vector)
	add(sdk.LayerKind, "dense", plugintest.Config{"units": 3, "use_bias": false, "kernel_regularizer": "l2"}, image)
	add(sdk.LayerKind, "dropout", plugintest.Config{"rate": 0.3}, vector)
	add(sdk.LayerKind, "embedding", plugintest.Config{"input_dim": 4, "output_dim": 3}, tensor(graph.I32, 5))
	add(sdk.LayerKind, "reshape", plugintest.Config{"target_shape": []int{4, -1}}, image)
	add(sdk.LayerKind, "simple_rnn", plugintest.Config{"units": 3}, tensor(graph.F32, 4, 2))
	add(sdk.LayerKind, "flatten", nil, image)
	add(sdk.LayerKind, "batch_norm", nil, image)
	add(sdk.LayerKind, "layer_norm", plugintest.Config{"axis": []int{1, 3}}, image)
	for _, typ := range []string{"add", "average", "maximum", "multiply"} {
		add(sdk.LayerKind, typ, nil, image, image, image)
	}
	add(sdk.LayerKind, "concat", nil, image, image)
	add(sdk.LayerKind, "concat", plugintest.Config{"axis": 1}, image, tensor(graph.F32, 2, 5, 4))
	for _, padding := range []string{"same", "valid"} {
		c := func(extra plugintest.Config) plugintest.Config {
			out := plugintest.Config{"padding": padding}
			for k, v := range extra {
				out[k] = v
			}
			return out
		}
		add(sdk.LayerKind, "conv2d", c(plugintest.Config{"filters": 3, "kernel_size": 3, "strides": 2, "activation": "relu"}), image)
		add(sdk.LayerKind, "depthwise_conv2d", c(plugintest.Config{"kernel_size": []int{3, 2}, "depth_multiplier": 2}), image)
		add(sdk.LayerKind, "separable_conv2d", c(plugintest.Config{"filters": 3, "kernel_size": 3}), image)
		add(sdk.LayerKind, "max_pooling2d", c(nil), image)
		add(sdk.LayerKind, "average_pooling2d", c(plugintest.Config{"pool_size": 3, "strides": 2}), image)
	}
	add(sdk.LayerKind, "global_average_pooling2d", nil, image)
	add(sdk.LayerKind, "global_max_pooling2d", plugintest.Config{"keepdims": true}, image)
	add(sdk.LayerKind, "zero_padding2d", plugintest.Config{"padding": []int{0, 1, 2, 0}}, image)

	classes, labels := tensor(graph.F32, 5), tensor(graph.I64)
	logits := plugintest.Config{"from_logits": true}
	add(sdk.LossKind, "sparse_categorical_crossentropy", logits, classes, labels)
	add(sdk.LossKind, "sparse_categorical_crossentropy", plugintest.Config{"from_logits": true, "ignore_class": 1}, classes, labels)
	// Smoothing spreads over the number of classes.
	add(sdk.LossKind, "categorical_crossentropy", plugintest.Config{"from_logits": true, "label_smoothing": 0.1}, classes, classes).FixedShape = true
	add(sdk.LossKind, "binary_crossentropy", logits, tensor(graph.F32, 1), tensor(graph.U8))
	for _, typ := range []string{"huber", "mean_absolute_error", "mean_squared_error"} {
		add(sdk.LossKind, typ, nil, vector, vector)
	}
	for _, typ := range []string{"accuracy", "categorical_accuracy", "top_k_categorical_accuracy", "f1_score", "categorical_crossentropy"} {
		add(sdk.MetricKind, typ, nil, classes, classes)
	}
	for _, typ := range []string{"accuracy", "sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy", "f1_score", "sparse_categorical_crossentropy"} {
		add(sdk.MetricKind, typ, nil, classes, labels)
	}
	for _, typ := range []string{"accuracy", "auc", "binary_accuracy", "binary_crossentropy", "precision", "recall"} {
		add(sdk.MetricKind, typ, nil, tensor(graph.F32, 1), labels)
	}
	for _, typ := range []string{"mean_absolute_error", "mean_squared_error", "root_mean_squared_error"} {
		add(sdk.MetricKind, typ, nil, tensor(graph.F32), tensor(graph.F64, 1))
	}
	param := graph.T(graph.F32, 4, 3)
	for _, typ := range []string{"constant", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "ones", "orthogonal",
		"random_normal", "random_uniform", "truncated_normal", "variance_scaling", "zeros"} {
		add(sdk.InitializerKind, typ, nil, param)
	}
	for _, typ := range []string{"l1", "l2", "l1_l2"} {
		add(sdk.RegularizerKind, typ, nil, param)
	}
	for _, typ := range []string{"max_norm", "min_max_norm", "non_neg", "unit_norm"} {
		add(sdk.ConstraintKind, typ, nil, param)
	}
	for _, typ := range []string{"adadelta", "adagrad", "adam", "adamax", "adamw", "lion", "nadam", "rmsprop", "sgd"} {
		add(sdk.OptimizerKind, typ, nil, param)
		add(sdk.OptimizerKind, typ, plugintest.Config{"weight_decay": 0.01}, vector) // a flat run of any length
	}
	add(sdk.OptimizerKind, "lamb", plugintest.Config{"weight_decay": 0.01}, param)
	for _, typ := range []string{"sam", "lookahead"} {
		add(sdk.OptimizerKind, typ, nil, param)
		add(sdk.OptimizerKind, typ, plugintest.Config{"base": "rmsprop"}, vector)
	}
	for typ, c := range map[string]plugintest.Config{
		"constant":                 {"learning_rate": 0.1},
		"cosine_decay":             {"initial_learning_rate": 0.1},
		"cosine_decay_restarts":    {"initial_learning_rate": 0.1, "first_decay_steps": 10},
		"exponential_decay":        {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
		"inverse_time_decay":       {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
		"linear_decay":             {"initial_learning_rate": 0.1},
		"linear_warmup":            {"initial_learning_rate": 0, "warmup_target": 0.1, "warmup_steps": 10},
		"natural_exponential":      {"initial_learning_rate": 0.1, "decay_rate": 0.5},
		"piecewise_constant_decay": {"boundaries": []int{5}, "values": []float64{0.1, 0.01}},
		"plateau":                  {"initial_learning_rate": 0.1},
		"polynomial_decay":         {"initial_learning_rate": 0.1},
		"table":                    {"rates": []float64{0.1, 0.01}},
		"warm_up":                  {"steps": 5, "schedule": "plateau"},
	} {
		if typ == "warm_up" {
			c["schedule"] = plugintest.Component{Ref: plugintest.Ref{Type: "linear_decay"}, Config: plugintest.Config{"initial_learning_rate": 0.1}}
		}
		add(sdk.ScheduleKind, typ, c)
	}
	return all
}

// networks are whole networks: their layers are among the cases, and package
// layers compares them with Keras.
func networks() []plugintest.Case {
	image := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(32), graph.N(32), graph.N(3)}}
	return []plugintest.Case{
		{Kind: sdk.LayerKind, Type: "resnet50", Inputs: []graph.Type{image}},
		{Kind: sdk.LayerKind, Type: "vgg16", Inputs: []graph.Type{image}},
	}
}

func TestFirstPartyComponentsConform(t *testing.T) {
	plugintest.ConformWith(t, builtin.Plugins(), cases()...)
}

func TestEveryComponentIsTried(t *testing.T) {
	tried := map[string]bool{}
	for _, c := range append(cases(), networks()...) {
		tried[string(c.Kind)+" "+c.Type] = true
	}
	for _, p := range builtin.Plugins() {
		types, err := p.Types()
		if err != nil {
			t.Fatal(err)
		}
		for kind, names := range types {
			for _, name := range names {
				if kind != sdk.TransformKind && !tried[string(kind)+" "+name] {
					t.Errorf("the %s %q is not tried", kind, name)
				}
			}
		}
	}
}

func TestComponentsAreTheSameInAProcessOfTheirOwn(t *testing.T) {
	here, there := plugintest.Serve(t, builtin.InProcess()), plugintest.Serve(t, bundle)
	for _, c := range append(cases(), networks()...) {
		a := here.MustTrace(c.Kind, c.Type, c.Config, c.Inputs...)
		b := there.MustTrace(c.Kind, c.Type, c.Config, c.Inputs...)
		if graph.Digest(a) != graph.Digest(b) {
			t.Errorf("the %s %q is traced otherwise out of process", c.Kind, c.Type)
		}
	}
}

func TestTheBinariesServeTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the three binaries")
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "github.com/hone-ml/hone/cmd/hone-plugin-layers",
		"github.com/hone-ml/hone/cmd/hone-plugin-optimizers", "github.com/hone-ml/hone/cmd/hone-plugin-preprocess")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	here := plugintest.New(t, builtin.Plugins()...)
	vector := tensor(graph.F32, 6)
	for _, c := range []struct {
		plugin string
		kind   sdk.Kind
		typ    string
		config plugintest.Config
		inputs []graph.Type
	}{
		{"layers", sdk.LayerKind, "dense", plugintest.Config{"units": 3, "activation": "relu"}, []graph.Type{vector}},
		{"optimizers", sdk.OptimizerKind, "adam", nil, []graph.Type{graph.T(graph.F32, 3)}},
		{"preprocess", sdk.TransformKind, "rescale", nil, nil},
	} {
		there := plugintest.Binary(t, c.plugin, filepath.Join(dir, "hone-plugin-"+c.plugin), builtin.InProcess())
		if !there.Has(c.kind, c.typ) {
			t.Errorf("hone-plugin-%s has no %s %q", c.plugin, c.kind, c.typ)
			continue
		}
		if c.kind == sdk.TransformKind {
			continue
		}
		a, b := here.MustTrace(c.kind, c.typ, c.config, c.inputs...), there.MustTrace(c.kind, c.typ, c.config, c.inputs...)
		if graph.Digest(a) != graph.Digest(b) {
			t.Errorf("hone-plugin-%s traces the %s %q otherwise", c.plugin, c.kind, c.typ)
		}
	}
}
