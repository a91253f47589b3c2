package sdk_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// center subtracts the mean of the training rows.
type center struct {
	means []float64
}

func (t *center) Fit(f *sdk.Fit) error {
	var all []*sdk.Moments
	for _, c := range f.Columns() {
		all = append(all, f.Moments(c))
	}
	if f.Pass() {
		for _, m := range all {
			t.means = append(t.means, m.Mean[0])
		}
		f.Learned("mean", t.means)
	}
	return nil
}

func (t *center) Apply(b *sdk.TransformBuilder) {
	for i, c := range b.Columns() {
		b.Set(c, b.Number(c).Plus(-t.means[i]))
	}
}

var centering = sdk.Plugin{Name: "acme", Version: "1.0.0", Transforms: sdk.Transforms{
	"center": func() sdk.Transform { return &center{} },
}}

// A transform that learns asks in Fit and computes in Apply; the plugin of one is
// served as any other.
func ExampleFitter() {
	fmt.Println(len(centering.Transforms), "transform") // main would call sdk.Serve(centering)
	// Output: 1 transform
}

func fitClient(t *testing.T) pluginpb.TransformsClient {
	t.Helper()
	s := grpc.NewServer()
	if err := sdk.Register(s, centering); err != nil {
		t.Fatal(err)
	}
	l := bufconn.Listen(1 << 16)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	conn, err := grpc.NewClient("passthrough:///test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return pluginpb.NewTransformsClient(conn)
}

func TestFitProtocol(t *testing.T) {
	client := fitClient(t)
	number := sdk.TypeProto(graph.Type{DType: graph.F64, Shape: graph.Shape{graph.Batch}})
	req := &pluginpb.FitRequest{Type: "center", IrVersion: 1, Columns: []*pluginpb.TableColumn{
		{Name: "word", Kind: pluginpb.ColumnKind_COLUMN_KIND_TEXT},
		{Name: "x", Kind: pluginpb.ColumnKind_COLUMN_KIND_NUMBER, Type: number},
		{Name: "y", Kind: pluginpb.ColumnKind_COLUMN_KIND_NUMBER, Type: number, Target: true},
	}}
	ask, err := client.Fit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if len(ask.Asks) != 1 || ask.Asks[0].GetMoments().GetColumn() != 1 || ask.Fitted != nil {
		t.Fatalf("it asks %v", ask)
	}
	req.Passes = []*pluginpb.Pass{{Answers: []*pluginpb.Answer{{Rows: 4, Count: []int64{4}, Mean: []float64{2.5}, Variance: []float64{1}, Min: []float64{1}, Max: []float64{4}}}}}
	done, err := client.Fit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	f := done.Fitted
	if f == nil || len(f.Entries) != 1 || f.Entries[0].Column != 1 || len(f.Columns) != 3 || f.Learned != `{"mean":[2.5]}` {
		t.Fatalf("it answers %v, %v", f, done.Diagnostics)
	}
	m, err := graph.Unmarshal(done.Module, graph.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := graph.Verify(m, graph.Limits{}); err != nil {
		t.Error(err)
	}
	again, err := client.Fit(t.Context(), req)
	if err != nil || string(again.Module) != string(done.Module) {
		t.Errorf("asked again it answers otherwise: %v", err)
	}

	for about, spoil := range map[string]func(r *pluginpb.FitRequest){
		"too few answers":     func(r *pluginpb.FitRequest) { r.Passes = []*pluginpb.Pass{{}} },
		"wrong answers":       func(r *pluginpb.FitRequest) { r.Passes = []*pluginpb.Pass{{Answers: []*pluginpb.Answer{{}}}} },
		"an unknown kind":     func(r *pluginpb.FitRequest) { r.Columns = []*pluginpb.TableColumn{{Name: "x", Kind: 9}} },
		"a column of no type": func(r *pluginpb.FitRequest) { r.Columns = []*pluginpb.TableColumn{{Name: "x", Kind: 1}} },
		"text by name": func(r *pluginpb.FitRequest) {
			r.Named, r.Passes = true, nil
		},
	} {
		r := &pluginpb.FitRequest{Type: "center", IrVersion: 1, Columns: req.Columns, Passes: req.Passes}
		spoil(r)
		resp, err := client.Fit(t.Context(), r)
		if err != nil {
			t.Errorf("%s: %v", about, err)
		} else if len(resp.Diagnostics) == 0 || resp.Fitted != nil {
			t.Errorf("%s: %v", about, resp)
		} else if about == "text by name" && !strings.Contains(resp.Diagnostics[0].Summary, `"word" holds text`) {
			t.Errorf("%s: %v", about, resp.Diagnostics[0].Summary)
		}
	}
}
