package graph

import (
	"fmt"
	"strings"
	"testing"
)

// ruleCase applies one op, written as text, to parameters of the given types.
type ruleCase struct {
	params string // f32[2, 3]; f32[3]
	node   string // add(%0, %1)
	want   string // result types, or "error: " and a part of the message
}

var ruleCases = []ruleCase{
	{"f32[2]", "neg(%0)", "f32[2]"},
	{"bool[2]", "neg(%0)", "error: needs a number"},
	{"i8[batch]", "abs(%0)", "i8[batch]"},
	{"bool[2]", "abs(%0)", "error: needs a number"},
	{"u8[]", "sign(%0)", "u8[]"},
	{"bool[2]", "sign(%0)", "error: needs a number"},
	{"f16[2]", "exp(%0)", "f16[2]"},
	{"i32[2]", "exp(%0)", "error: needs a floating-point operand, got i32[2]; convert it first"},
	{"f32[2]; f32[2]", "exp(%0, %1)", "error: takes 1 operands, got 2"},
	{"f32[2]", "is_finite(%0)", "bool[2]"},
	{"i32[2]", "is_finite(%0)", "error: needs a floating-point operand"},
	{"u8[2]", "not(%0)", "u8[2]"},
	{"f32[2]", "not(%0)", "error: needs integers or bools"},
	{"f32[batch, 2]; f32[batch, 2]", "add(%0, %1)", "f32[batch, 2]"},
	{"f32[batch, 2]; f32[2]", "add(%0, %1)", "error: operands differ: f32[batch, 2] and f32[2]"},
	{"f32[2]; f64[2]", "mul(%0, %1)", "error: operands differ"},
	{"i32[2]; i32[2]", "mul(%0, %1)", "i32[2]"},
	{"bool[2]; bool[2]", "max(%0, %1)", "error: needs numbers"},
	{"f32[2]; f32[2]", "pow(%0, %1)", "f32[2]"},
	{"bool[2]; bool[2]", "pow(%0, %1)", "error: needs numbers"},
	{"bool[2]; bool[2]", "and(%0, %1)", "bool[2]"},
	{"f32[2]; f32[2]", "xor(%0, %1)", "error: needs integers or bools"},
	{"u32[2]; u32[2]", "shl(%0, %1)", "u32[2]"},
	{"bool[2]; bool[2]", "shr(%0, %1)", "error: needs integers"},
	{"f32[2]; f32[2]", "compare(%0, %1) {direction=le}", "bool[2]"},
	{"f32[2]; f32[2]", "compare(%0, %1) {direction=less}", `error: unknown direction "less"`},
	{"f32[2]; f32[2]", "compare(%0, %1)", `error: unknown direction ""`},
	{"bool[2]; f32[2]; f32[2]", "select(%0, %1, %2)", "f32[2]"},
	{"bool[1]; f32[2]; f32[2]", "select(%0, %1, %2)", "error: the first operand must be bool[2]"},
	{"bool[2]; f32[2]; f64[2]", "select(%0, %1, %2)", "error: operands differ"},
	{"bool[2]", "convert(%0) {to=bf16}", "bf16[2]"},
	{"bool[2]", "convert(%0)", "error: invalid target type"},
	{"f32[2]", "bitcast(%0) {to=u32}", "u32[2]"},
	{"f32[2]", "bitcast(%0) {to=u64}", "error: the sizes differ or one is bool"},
	{"u8[2]", "bitcast(%0) {to=bool}", "error: the sizes differ or one is bool"},

	{"", "constant() {value=i8[2] {1, 2}}", "i8[2]"},
	{"", "constant()", "error: holds neither a literal nor a name"},
	{"", `constant() {value=i8[] 1, ref=w}`, "error: lacks"},
	{"f32[batch, 3]", "iota(%0) {to=i32, axis=1, shape=[2*d0.0, d0.1+1]}", "i32[2*batch, 4]"},
	{"", "iota() {to=i32, shape=[4]}", "i32[4]"},
	{"", "iota() {to=i32}", "error: axis 0 of []"},
	{"", "iota() {to=bool, shape=[4]}", "error: needs a number type"},
	{"", "iota() {to=i32, shape=[d0.0]}", "error: names operand 0 of 0"},
	{"f32[4]", "iota(%0) {to=i32, shape=[d0.1]}", "error: names axis 1 of f32[4]"},
	{"f32[batch]", "iota(%0) {to=i32, shape=[d0.0*d0.0]}", "error: is not affine"},
	{"f32[5]", "iota(%0) {to=i32, shape=[d0.0/2]}", "error: 5 is not divisible by 2"},
	{"f32[5]", "iota(%0) {to=i32, shape=[d0.0/0]}", "error: malformed dimension expression"},
	{"f32[5]", "iota(%0) {to=i32, shape=[d0.0-6]}", "error: negative extent"},
	{"f32[5]", "iota(%0) {to=i32, shape=[9223372036854775807*d0.0]}", "error: overflows"},
	{"f32[5]", "iota(%0) {to=i32, shape=[1, 1, 1, 1, 1, 1, 1, 1, 1]}", "error: more than 8 axes"},
	{"f32[batch, 3]", "size(%0)", "i64[]"},
	{"f32[batch, 3]", "size(%0) {axis=2}", "error: axis 2 of f32[batch, 3]"},
	{"u64[]; u64[]; i64[batch]; f32[7]", "random_bits(%0, %1, %2, %3) {shape=[d3.0, 2]}", "u32[batch, 7, 2]"},
	{"u32[]; u64[]; i64[batch]", "random_bits(%0, %1, %2)", "error: key and step must be u64[]"},
	{"u64[]; u64[]; i64[]", "random_bits(%0, %1, %2)", "error: the index must be i64[n]"},

	{"f32[batch, 3, 4]", "reduce(%0) {kind=max, axes=[0, 2]}", "f32[3]"},
	{"f32[2]", "reduce(%0) {kind=sum}", "f32[2]"},
	{"f32[2, 3]", "reduce(%0) {kind=sum, axes=[1, 0]}", "error: must be ascending"},
	{"f32[2]", "reduce(%0) {kind=and, axes=[0]}", "error: needs bools"},
	{"bool[2]", "reduce(%0) {kind=sum, axes=[0]}", "error: sum of bool[2]"},
	{"f32[2]", "reduce(%0) {kind=mean, axes=[0]}", `error: unknown kind "mean"`},
	{"f32[2, 3]", "arg_reduce(%0) {kind=min, axis=1}", "i32[2]"},
	{"f32[2, 3]", "arg_reduce(%0) {kind=sum, axis=1}", "error: max and min are known"},
	{"f32[2, 0]", "arg_reduce(%0) {kind=max, axis=1}", "error: is empty"},
	{"f32[2, 3]; i8[2, 3]", "sort(%0, %1) {axis=1}", "f32[2, 3], i8[2, 3]"},
	{"f32[2, 3]; i8[2]", "sort(%0, %1) {axis=1}", "error: operands differ in shape"},
	{"f32[]", "sort(%0)", "error: axis 0 of f32[]"},
	{"f32[batch, 3]", "top_k(%0) {k=2}", "f32[batch, 2], i32[batch, 2]"},
	{"f32[3]", "top_k(%0) {k=4}", "error: k = 4 of the last axis of f32[3]"},
	{"f32[batch]", "top_k(%0) {k=1}", "error: k = 1 of the last axis"},
	{"f32[2, 3]", "cumsum(%0) {axis=1}", "f32[2, 3]"},
	{"bool[2]", "cumsum(%0)", "error: needs numbers"},

	{"f32[batch, 2, 3]", "reshape(%0) {shape=[d0.0, d0.1*d0.2]}", "f32[batch, 6]"},
	{"f32[2, 3]", "reshape(%0) {shape=[7]}", "error: differ in their number of elements"},
	{"f32[2, batch]", "transpose(%0) {perm=[1, 0]}", "f32[batch, 2]"},
	{"f32[2, 3]", "transpose(%0) {perm=[1, 1]}", "error: no permutation"},
	{"f32[2, 3]", "transpose(%0) {perm=[1]}", "error: permutation [1]"},
	{"f32[3, 1]; f32[batch, 3, 5]", "broadcast(%0, %1) {dims=[1, 2], shape=[d1.0, d1.1, d1.2]}", "f32[batch, 3, 5]"},
	{"f32[3]", "broadcast(%0) {dims=[0], shape=[4]}", "error: axis 0 of f32[3] cannot become 4"},
	{"f32[3, 4]", "broadcast(%0) {dims=[1, 0], shape=[4, 3]}", "error: must be ascending"},
	{"f32[3]", "broadcast(%0) {shape=[3]}", "error: 0 axes mapped"},
	{"f32[batch, 7]", "slice(%0) {start=[0, 1], limit=[d0.0, d0.1-1], stride=[1, 2]}", "f32[batch, 3]"},
	{"f32[7]", "slice(%0) {start=[1], limit=[8], stride=[1]}", "error: limit 8 of axis 0, which has 7"},
	{"f32[7]", "slice(%0) {start=[3], limit=[2], stride=[1]}", "error: limit 2 stands before start 3"},
	{"f32[7]", "slice(%0) {start=[-1], limit=[2], stride=[1]}", "error: start -1"},
	{"f32[7]", "slice(%0) {start=[0], limit=[2], stride=[0]}", "error: stride 0"},
	{"f32[7]", "slice(%0) {start=[0], limit=[2]}", "error: need 1 entries"},
	{"f32[batch]", "slice(%0) {start=[0], limit=[d0.0], stride=[2]}", "error: a strided slice of a symbolic extent"},
	{"f32[7]", "slice(%0) {start=[1], limit=[7], stride=[9223372036854775807]}", "f32[1]"},
	{"f32[5, 7]; i32[]; u8[]", "dynamic_slice(%0, %1, %2) {sizes=[2, d0.1]}", "f32[2, 7]"},
	{"f32[5]; f32[]", "dynamic_slice(%0, %1) {sizes=[2]}", "error: start indices must be integer scalars"},
	{"f32[5]; i32[]", "dynamic_slice(%0, %1) {sizes=[6]}", "error: extent 6 of axis 0 is larger than 5"},
	{"f32[5]", "dynamic_slice(%0) {sizes=[2]}", "error: 0 start indices for 1 axes"},
	{"f32[5]; i32[]", "dynamic_slice(%0, %1)", "error: 0 sizes"},
	{"f32[5]; f32[2]; i32[]", "dynamic_update_slice(%0, %1, %2)", "f32[5]"},
	{"f32[5]; f64[2]; i32[]", "dynamic_update_slice(%0, %1, %2)", "error: cannot put f64[2] into f32[5]"},
	{"f32[5]; f32[6]; i32[]", "dynamic_update_slice(%0, %1, %2)", "error: is larger than 5"},
	{"f32[batch, 5]; f32[]", "pad(%0, %1) {low=[1, -2], high=[0, 3], interior=[0, 1]}", "f32[batch+1, 10]"},
	{"f32[0]; f32[]", "pad(%0, %1) {low=[1], high=[1], interior=[5]}", "f32[2]"},
	{"f32[5]; f64[]", "pad(%0, %1) {low=[1], high=[1], interior=[0]}", "error: the padding value must be f32[]"},
	{"f32[5]; f32[]", "pad(%0, %1) {low=[1], high=[-7], interior=[0]}", "error: negative extent"},
	{"f32[5]; f32[]", "pad(%0, %1) {low=[1], high=[1], interior=[-1]}", "error: interior -1"},
	{"f32[5]; f32[]", "pad(%0, %1) {low=[1], high=[1], interior=[9223372036854775807]}", "error: overflows"},
	{"f32[2, 3]", "reverse(%0) {axes=[1]}", "f32[2, 3]"},
	{"f32[2, 3]", "reverse(%0) {axes=[2]}", "error: within it"},
	{"f32[batch, 2]; f32[batch, 3]", "concat(%0, %1) {axis=1}", "f32[batch, 5]"},
	{"f32[batch]; f32[batch]; f32[1]", "concat(%0, %1, %2)", "f32[2*batch+1]"},
	{"f32[2, 2]; f32[3, 3]", "concat(%0, %1) {axis=1}", "error: differ on axis 0"},
	{"f32[2]; i32[3]", "concat(%0, %1)", "error: operands differ"},
	{"f32[batch, 9, 4]; i32[batch, 5, 6]", "gather(%0, %1) {axis=1, batch_dims=1}", "f32[batch, 5, 6, 4]"},
	{"f32[9]; i32[]", "gather(%0, %1)", "f32[]"},
	{"f32[0]; i32[]", "gather(%0, %1)", "error: is empty"},
	{"f32[9]; f32[]", "gather(%0, %1)", "error: indices must be integers"},
	{"f32[9, 2]; i32[9]", "gather(%0, %1) {batch_dims=1}", "error: 1 batch axes with axis 0"},
	{"f32[9, 2]; i32[8]", "gather(%0, %1) {axis=1, batch_dims=1}", "error: the batch axes"},
	{"f32[9, 2]; i32[5]; f32[5, 2]", "scatter_add(%0, %1, %2)", "f32[9, 2]"},
	{"f32[9, 2]; i32[5]; f32[5]", "scatter_add(%0, %1, %2)", "error: updates must be f32[5, 2]"},
	{"bool[9]; i32[5]; bool[5]", "scatter_add(%0, %1, %2)", "error: cannot add bools"},

	{"f32[batch, 3]; f32[3, 4]", "dot(%0, %1) {left_contract=[1], right_contract=[0]}", "f32[batch, 4]"},
	{"i8[2, 3]; i8[3]", "dot(%0, %1) {left_contract=[1], right_contract=[0], out=i32}", "i32[2]"},
	{"f32[5, 2, 3]; f32[3, 5, 4]", "dot(%0, %1) {left_batch=[0], right_batch=[1], left_contract=[2], right_contract=[0]}", "f32[5, 2, 4]"},
	{"f32[2, 3]; f32[4, 5]", "dot(%0, %1) {left_contract=[1], right_contract=[0]}", "error: cannot multiply f32[2, 3] by f32[4, 5]: axis 1 has 3, axis 0 has 4"},
	{"f32[2, 3]; f32[3]", "dot(%0, %1) {left_contract=[1, 1], right_contract=[0, 0]}", "error: out of range or listed twice"},
	{"f32[2, 3]; f32[3]", "dot(%0, %1) {left_contract=[1]}", "error: different numbers of axes"},
	{"f32[2, 3]; f32[3, 2]", "dot(%0, %1) {left_batch=[0], right_batch=[0]}", "error: batch axes differ"},
	{"f32[3]; f64[3]", "dot(%0, %1)", "error: operands must share a number type"},
	{"f32[3]; f32[3]", "dot(%0, %1) {out=i32}", "error: accumulating f32 in i32 to i32"},
	{"f32[3]; f32[3]", "dot(%0, %1) {precision=low}", `error: unknown precision "low"`},
	{"f32[batch, 8, 9, 4]; f32[3, 2, 2, 6]", "conv(%0, %1) {strides=[2, 1], pad_low=[1, 0], pad_high=[1, 0], input_dilation=[1, 2], filter_dilation=[1, 3], groups=2}", "f32[batch, 4, 14, 6]"},
	{"f32[1, 2, 4]; f32[5, 4, 6]", "conv(%0, %1) {strides=[1], pad_low=[0], pad_high=[0], input_dilation=[1], filter_dilation=[1], groups=1}", "error: the window (5, dilation 1) is larger than the padded extent 2"},
	{"f32[1, 5, 4]; f32[3, 3, 6]", "conv(%0, %1) {strides=[1], pad_low=[0], pad_high=[0], input_dilation=[1], filter_dilation=[1], groups=1}", "error: has 4 channels"},
	{"f32[1, 5, 4]; f32[3, 4, 6]", "conv(%0, %1) {strides=[0], pad_low=[0], pad_high=[0], input_dilation=[1], filter_dilation=[1], groups=1}", "error: must be at least 1"},
	{"f32[1, 5, 4]; f32[3, 4, 6]", "conv(%0, %1) {groups=1}", "error: need 1 entries"},
	{"f32[1, 5, 4]; f32[3, 4, 6]", "conv(%0, %1) {strides=[1], pad_low=[0], pad_high=[0], input_dilation=[1], filter_dilation=[1]}", "error: groups = 0"},
	{"f32[5, 4]; f32[4, 6]", "conv(%0, %1) {groups=1}", "error: needs [n, spatial..., c]"},
	{"f32[1, 3, 6]; f32[3, 4, 6]; f32[1, 5, 4]", "conv_input_grad(%0, %1, %2) {strides=[1], pad_low=[0], pad_high=[0], input_dilation=[1], filter_dilation=[1], groups=1}", "f32[1, 5, 4]"},
	{"f32[1, 4, 6]; f32[3, 4, 6]; f32[1, 5, 4]", "conv_input_grad(%0, %1, %2) {strides=[1], pad_low=[0], pad_high=[0], input_dilation=[1], filter_dilation=[1], groups=1}", "error: the output gradient must be [1, 3, 6]"},
	{"f32[1, 5, 4]; f32[1, 3, 6]; f32[3, 4, 6]", "conv_filter_grad(%0, %1, %2) {strides=[1], pad_low=[0], pad_high=[0], input_dilation=[1], filter_dilation=[1], groups=1}", "f32[3, 4, 6]"},
	{"f32[1, 5, 4]; f32[1, 5, 6]; f32[3, 4, 6]", "conv_filter_grad(%0, %1, %2) {strides=[1], pad_low=[0], pad_high=[0], input_dilation=[1], filter_dilation=[1], groups=1}", "error: the output gradient must be"},
	{"f32[batch, 7]", "reduce_window(%0) {kind=max, window=[1, 2], strides=[1, 2], pad_low=[0, 0], pad_high=[0, 1], dilation=[1, 1]}", "f32[batch, 4]"},
	{"f32[7]", "reduce_window(%0) {kind=prod, window=[2], strides=[2], pad_low=[0], pad_high=[0], dilation=[1]}", "error: sum, max and min are known"},
	{"f32[7]", "reduce_window(%0) {kind=max}", "error: need 1 entries"},
	{"f32[7]; f32[6]", "reduce_window_grad(%0, %1) {kind=max, window=[2], strides=[1], pad_low=[0], pad_high=[0], dilation=[1]}", "f32[7]"},
	{"f32[7]; f32[7]", "reduce_window_grad(%0, %1) {kind=max, window=[2], strides=[1], pad_low=[0], pad_high=[0], dilation=[1]}", "error: the output gradient must be f32[6]"},

	{"f32[2]", "call(%0) {callee=id}", "f32[2]"},
	{"f32[3]", "call(%0) {callee=id}", `error: "id" takes input x f32[2], got f32[3]`},
	{"", "call() {callee=id}", `error: "id" takes 1 operands, got 0`},
	{"f32[2]; f32[5, 3]", "scan(%0, %1) {callee=step, carries=1}", "f32[2], f32[5]"},
	{"f32[2]; f32[3]", "scan(%0, %1) {callee=step, carries=1}", "error: takes f32[3] as operand 1, got f32[]"},
	{"f32[2]; f32[]", "scan(%0, %1) {callee=step, carries=1}", "error: sequence 0 is a scalar"},
	{"f32[2]", "scan(%0) {callee=id, carries=1, length=4}", "f32[2]"},
	{"f32[2]", "scan(%0) {callee=id, consts=1, length=4}", "f32[4, 2]"},
	{"f32[2]", "scan(%0) {callee=id, consts=1, length=-4}", "error: length -4"},
	{"f32[2]", "scan(%0) {callee=grow, carries=1}", "error: carry 0 goes in as f32[2] and comes out as f32[1, 2]"},
	{"f32[2]", "all_reduce(%0) {kind=sum, shards=4, group=2, order=tree}", "f32[2]"},
	{"f32[2]", "all_reduce(%0) {kind=sum, shards=4, group=3, order=tree}", "error: 4 shards in groups of 3"},
	{"f32[2]", "all_reduce(%0) {kind=prod, shards=4, order=tree}", "error: prod of f32[2]"},
	{"f32[2]", "all_reduce(%0) {kind=sum, shards=4}", `error: order ""`},
	{"f32[2]", "opaque_call(%0) {component=a, types=[f32[batch], u8[]]}", "f32[batch], u8[]"},
	{"f32[2]", "opaque_call(%0) {types=[f32[batch]]}", "error: names no component"},
}

const ruleCallees = `ir 1
func id any (%0 input x: f32[2]) -> (output y: %0) {
}
func grow any (%0 input x: f32[2]) -> (output y: %1) {
  %1 = reshape(%0) {shape=[1, d0.0]}: f32[1, 2]
}
func step any (%0 input h: f32[2], %1 input x: f32[3]) -> (output h: %0, output y: %2) {
  %2 = reduce(%1) {kind=sum, axes=[0]}: f32[]
}
`

func TestShapeRules(t *testing.T) {
	accepted, refused := map[Op]bool{}, map[Op]bool{}
	for _, c := range ruleCases {
		var params []string
		if c.params != "" {
			for i, p := range strings.Split(c.params, "; ") {
				params = append(params, fmt.Sprintf("%%%d input x%d: %s", i, i, p))
			}
		}
		problem, isError := strings.CutPrefix(c.want, "error: ")
		types := c.want
		if isError {
			types = "f32[]" // never reached
		}
		outs := make([]string, strings.Count(types, "], ")+1)
		for i := range outs {
			outs[i] = fmt.Sprintf("%%%d", len(params)+i)
		}
		src := fmt.Sprintf("%sfunc f any (%s) -> () {\n  %s = %s: %s\n}", ruleCallees, strings.Join(params, ", "), strings.Join(outs, ", "), c.node, types)
		m, err := ParseText(src)
		if err != nil {
			t.Errorf("%s of %s: %v", c.node, c.params, err)
			continue
		}
		op := m.Funcs[len(m.Funcs)-1].Nodes[0].Op
		err = Verify(m, Limits{})
		switch {
		case isError && (err == nil || !strings.Contains(err.Error(), problem)):
			t.Errorf("%s of %s: %v, want %q", c.node, c.params, err, problem)
		case !isError && err != nil:
			t.Errorf("%s of %s: %v", c.node, c.params, err)
		}
		accepted[op], refused[op] = accepted[op] || !isError, refused[op] || isError
	}
	sameRule := map[Op]Op{ // ops that share a rule with one that is tested
		OpExpm1: OpExp, OpLog: OpExp, OpLog1p: OpExp, OpSqrt: OpExp, OpRsqrt: OpExp, OpTanh: OpExp, OpSigmoid: OpExp, OpErf: OpExp,
		OpSin: OpExp, OpCos: OpExp, OpFloor: OpExp, OpCeil: OpExp, OpRound: OpExp,
		OpSub: OpAdd, OpDiv: OpAdd, OpRem: OpAdd, OpMin: OpAdd, OpMax: OpAdd, OpAnd: OpNot, OpOr: OpNot, OpXor: OpNot, OpShr: OpShl, OpShl: OpShr,
	}
	for _, op := range Ops() {
		if other, ok := sameRule[op]; ok {
			a, b := op.Def(), other.Def()
			if a.MinArgs != b.MinArgs && other != OpNot {
				t.Errorf("%v and %v do not share a rule", op, other)
			}
			continue
		}
		if !accepted[op] || !refused[op] {
			t.Errorf("%v: a case that is accepted: %v, one that is refused: %v", op, accepted[op], refused[op])
		}
	}
}
