package plugin_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/graphpb"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// The test's binary is also a stranger's plugin: the host gives a process its
// local name as the first argument, and that says how it behaves.

// trouble is a layer that does what its name says while it is traced.
type trouble struct{ name string }

func (l *trouble) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	switch l.name {
	case "hang":
		select {}
	case "exit":
		fmt.Fprintln(os.Stderr, "leaving without a word")
		os.Exit(7)
	case "crash":
		go func() { panic("the reactor is on fire") }()
		select {}
	case "panic":
		var none []int
		_ = none[3]
	case "print":
		fmt.Println("printed while tracing")
	case "nest":
		h, err := plugin.New(plugin.Options{Builtin: sdk.Bundle{Plugins: []sdk.Plugin{testPlugin}, SelfExec: true}})
		if err == nil {
			_, err = h.TraceLayer(context.Background(), plugin.Ref{Type: "relu"}, nil, []graph.Type{x.Type()})
		}
		b.Failf("%v", err)
	case "huge":
		for range 20_000 {
			x = x.Neg()
		}
	}
	return x
}

func strangerPlugin() sdk.Plugin {
	p := sdk.Plugin{Name: "stranger", Version: "9.9.9", Layers: sdk.Layers{}}
	for _, n := range []string{"fine", "hang", "exit", "crash", "panic", "print", "nest", "huge"} {
		p.Layers[n] = func() sdk.Layer { return &trouble{n} }
	}
	p.Layers["scale"] = func() sdk.Layer { return &scale{} }
	return p
}

// misbehave is main for a stranger.
func misbehave(how string) {
	switch how {
	case "dies":
		fmt.Fprintln(os.Stderr, "no licence found")
		os.Exit(3)
	case "silent":
		select {}
	case "printer":
		fmt.Println("Hello! I am a plugin.")
		sdk.Serve(strangerPlugin())
	case "newer":
		hs := sdk.Handshake()
		hs.ProtocolVersion = 2
		goplugin.Serve(&goplugin.ServeConfig{HandshakeConfig: hs, Plugins: goplugin.PluginSet{"hone": &sdk.GRPCPlugin{Plugin: strangerPlugin()}}, GRPCServer: goplugin.DefaultGRPCServer})
	case "older":
		hs := sdk.Handshake()
		hs.ProtocolVersion--
		goplugin.Serve(&goplugin.ServeConfig{HandshakeConfig: hs, Plugins: goplugin.PluginSet{"hone": &sdk.GRPCPlugin{Plugin: strangerPlugin()}}, GRPCServer: goplugin.DefaultGRPCServer})
	case "liar":
		goplugin.Serve(&goplugin.ServeConfig{HandshakeConfig: sdk.Handshake(), Plugins: goplugin.PluginSet{"hone": &liarPlugin{}}, GRPCServer: goplugin.DefaultGRPCServer})
	case "parent":
		child := exec.Command("/bin/sleep", "1000")
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Fprintf(os.Stderr, "grandchild %d\n", child.Process.Pid)
		sdk.Serve(strangerPlugin())
	case "noisy":
		fmt.Fprintln(os.Stderr, `{"@message": 1, "@level": ["x"], "@timestamp": {}}`)
		fmt.Fprintln(os.Stderr, `{"@message":"a warning","@level":"warn","@timestamp":"2026-01-02T03:04:05.000000Z","rows":7}`)
		fmt.Fprintln(os.Stderr, "plain \x1b[31mwords\x00")
		fmt.Fprintln(os.Stderr, strings.Repeat("long ", 100_000))
		sdk.Serve(strangerPlugin())
	case "nosy":
		fmt.Fprintf(os.Stderr, "environment: %s\n", strings.Join(os.Environ(), " "))
		sdk.Serve(strangerPlugin())
	default:
		sdk.Serve(strangerPlugin())
	}
}

// liarPlugin answers what no SDK would.
type liarPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	pluginpb.UnimplementedPluginServer
}

func (l *liarPlugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	pluginpb.RegisterPluginServer(s, l)
	return nil
}

func (*liarPlugin) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

func (*liarPlugin) Schema(context.Context, *pluginpb.SchemaRequest) (*pluginpb.SchemaResponse, error) {
	r := &pluginpb.SchemaResponse{Name: "liar", Version: "0", IrVersion: 1}
	for _, t := range []string{"garbage", "empty", "newer_ir", "wrong_types", "wrong_name", "slot", "needy", "insatiable", "foreign_need", "open_reference", "foreign_opaque"} {
		r.Components = append(r.Components, &pluginpb.Component{Kind: pluginpb.Kind_KIND_LAYER, Type: t, MinInputs: 1, MaxInputs: 1})
	}
	return r, nil
}

func (*liarPlugin) Trace(_ context.Context, req *pluginpb.TraceRequest) (*pluginpb.TraceResponse, error) {
	f32 := &graphpb.Type{Dtype: graphpb.DType_DTYPE_F32, Dims: []*graphpb.Dim{{Symbol: "batch", Coef: 1}}}
	fn := func(name string, edit func(*graphpb.Function)) *pluginpb.TraceResponse {
		f := &graphpb.Function{Name: name, Params: []*graphpb.Param{{Name: "x", Role: graphpb.Role_ROLE_INPUT, Type: f32}},
			Results: []*graphpb.Result{{Name: "y", Role: graphpb.Role_ROLE_OUTPUT, Value: 0}}}
		edit(f)
		m := &graphpb.Module{IrVersion: 1, Functions: []*graphpb.Function{f}}
		if req.Type == "newer_ir" {
			m.IrVersion = 99
		}
		return &pluginpb.TraceResponse{Module: must(m)}
	}
	same := func(*graphpb.Function) {}
	switch req.Type {
	case "garbage":
		return &pluginpb.TraceResponse{Module: []byte("this is no module")}, nil
	case "empty":
		return &pluginpb.TraceResponse{}, nil
	case "wrong_types":
		return fn("layer", func(f *graphpb.Function) { f.Params[0].Type = &graphpb.Type{Dtype: graphpb.DType_DTYPE_I8} }), nil
	case "wrong_name":
		return fn("lawyer", same), nil
	case "slot":
		return fn("layer", func(f *graphpb.Function) {
			f.Params = append(f.Params, &graphpb.Param{Name: "m", Role: graphpb.Role_ROLE_SLOT, Type: f32, Decl: &graphpb.Decl{}})
		}), nil
	case "needy":
		return &pluginpb.TraceResponse{Needs: []*pluginpb.Need{{Reference: "arg:nothing", Kind: pluginpb.Kind_KIND_LAYER}}}, nil
	case "insatiable":
		return &pluginpb.TraceResponse{Needs: []*pluginpb.Need{{Reference: "type:relu", Kind: pluginpb.Kind_KIND_LAYER, Inputs: []*graphpb.Type{f32}}}}, nil
	case "foreign_need":
		return &pluginpb.TraceResponse{Needs: []*pluginpb.Need{{Reference: "type:relu", Kind: 77}}}, nil
	case "open_reference":
		return fn("layer", func(f *graphpb.Function) {
			f.Params = append(f.Params, &graphpb.Param{Name: "w", Role: graphpb.Role_ROLE_PARAM, Type: &graphpb.Type{Dtype: graphpb.DType_DTYPE_F32}, Decl: &graphpb.Decl{Initializer: "nowhere"}})
		}), nil
	case "foreign_opaque":
		m := graph.NewModule()
		b := graph.NewBuilder(m, "layer", graph.Any)
		x := b.Input("x", input)
		b.Output("y", b.Apply(graph.OpOpaque, &graph.OpaqueAttrs{Component: "acme.secret", Types: []graph.Type{input}}, x)[0])
		if _, err := b.Finish(); err != nil {
			return nil, err
		}
		data, err := graph.Marshal(m)
		return &pluginpb.TraceResponse{Module: data}, err
	}
	return fn("layer", same), nil
}

var input = graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch}}

// stranger makes a host with one plugin of that behaviour.
func stranger(t *testing.T, name string, o plugin.Options) *plugin.Host {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Plugins = []plugin.Source{{Name: name, Path: self}}
	return newHost(t, o)
}

// wantDiagnostic checks that the error is a diagnostic with a remedy.
func wantDiagnostic(t *testing.T, err error, code string, words ...string) {
	t.Helper()
	var d diag.Diagnostic
	var ds diag.Diagnostics
	switch {
	case errors.As(err, &ds) && len(ds) > 0:
		d = ds[0]
	case !errors.As(err, &d):
		t.Errorf("got %v, wanted a diagnostic", err)
		return
	}
	if d.Code != code {
		t.Errorf("code %q, wanted %q: %v", d.Code, code, err)
	}
	for _, w := range words {
		if !strings.Contains(d.Error(), w) {
			t.Errorf("%q is not in the diagnostic: %v", w, d)
		}
	}
}

// children counts the live processes that this one has started.
func children(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("processes are counted in /proc")
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	n := 0
	for _, p := range stats {
		data, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) && fields[0] != "Z" {
			n++
		}
	}
	return n
}

func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(data, []byte(") Z "))
}

func TestTroublesomePluginsGiveDiagnostics(t *testing.T) {
	before := children(t)
	patient := plugin.Options{StartTimeout: time.Minute, CallTimeout: time.Minute, Limits: graph.Limits{Nodes: 10_000}}
	for _, c := range []struct {
		plugin, layer, code string
		words               []string
	}{
		{"dies", "fine", "plugin_died", []string{`"dies"`, "exit status 3", "no licence found"}},
		{"silent", "fine", "plugin_timeout", []string{`"silent"`, "sdk.Serve"}},
		{"printer", "fine", "plugin_stdout", []string{`"printer"`, "Hello! I am a plugin.", "standard error"}},
		{"newer", "fine", "plugin_protocol", []string{`"newer"`, "upgrade hone"}},
		{"older", "fine", "plugin_protocol", []string{`"older"`, "another version of the protocol", "version of the plugin that is made for this hone"}},
		{"calm", "hang", "plugin_timeout", []string{`"calm"`, "did not answer in time"}},
		{"calm", "exit", "plugin_died", []string{`"calm"`, "exit status 7", "leaving without a word"}},
		{"calm", "crash", "plugin_died", []string{`"calm"`, "the reactor is on fire"}},
		{"calm", "panic", "component", []string{`plugin "calm"`, "index out of range [3]", "strangers_test.go:"}},
		{"calm", "nest", "component", []string{"a plugin tries to start the plugin"}},
		{"calm", "huge", "plugin_graph", []string{`"calm"`, "limit"}},
		{"calm", "absent", "unknown_layer", []string{"calm.absent", "fine"}},
		{"liar", "garbage", "plugin_graph", []string{`"liar"`, "report it"}},
		{"liar", "empty", "plugin_graph", nil},
		{"liar", "newer_ir", "plugin_graph", []string{"IR version 99"}},
		{"liar", "wrong_types", "plugin_graph", []string{"wanted x f32[batch]"}},
		{"liar", "wrong_name", "plugin_graph", []string{`no function "layer"`}},
		{"liar", "slot", "plugin_graph", []string{"slot"}},
		{"liar", "needy", "plugin_graph", []string{`argument "nothing"`}},
		{"liar", "insatiable", "plugin_graph", []string{"although it was supplied"}},
		{"liar", "foreign_need", "plugin_graph", nil},
		{"liar", "open_reference", "plugin_graph", []string{"nowhere"}},
		{"liar", "foreign_opaque", "plugin_graph", []string{`"acme.secret"`, "does not have"}},
	} {
		t.Run(c.plugin+"/"+c.layer, func(t *testing.T) {
			o := patient
			switch {
			case c.plugin == "silent":
				o.StartTimeout = time.Second
			case c.layer == "hang":
				o.CallTimeout = 2 * time.Second
			}
			h := stranger(t, c.plugin, o)
			_, err := h.TraceLayer(t.Context(), plugin.Ref{Plugin: c.plugin, Type: c.layer}, nil, []graph.Type{input})
			wantDiagnostic(t, err, c.code, c.words...)
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			if n := children(t); n != before {
				t.Errorf("%d processes are left behind", n-before)
			}
		})
	}
}

func TestCloseLeavesNoProcessNotEvenAGrandchild(t *testing.T) {
	before := children(t)
	var log lockedBuffer
	h := stranger(t, "parent", plugin.Options{Log: zerolog.New(&log)})
	if _, err := h.TraceLayer(t.Context(), plugin.Ref{Plugin: "parent", Type: "fine"}, nil, []graph.Type{input}); err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`grandchild (\d+)`).FindStringSubmatch(log.String())
	if m == nil {
		t.Fatalf("the plugin's message is not in the log: %s", log.String())
	}
	pid, _ := strconv.Atoi(m[1])
	if !alive(pid) || children(t) == before {
		t.Fatal("the plugin and its child should be running")
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if n := children(t); n != before {
		t.Errorf("%d processes are left behind", n-before)
	}
	for range 6000 { // an orphan is reaped by the system, soon
		if !alive(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the plugin's child %d is left behind", pid)
}

// beHost starts a plugin, says its number and waits to be killed.
func beHost() {
	h, err := plugin.New(plugin.Options{Builtin: bundle})
	if err == nil {
		_, err = h.TraceLayer(context.Background(), plugin.Ref{Type: "relu"}, nil, []graph.Type{input})
	}
	fmt.Println("ready", err)
	select {}
}

func TestAPluginEndsWithItsHost(t *testing.T) {
	children(t) // skips where there is no /proc
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(self)
	host.Env = append(os.Environ(), "HONE_TEST_HOST=1")
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if !strings.HasPrefix(line, "ready <nil>") {
		t.Fatalf("the host says %q", line)
	}
	var plugins []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, p := range stats {
		data, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		if f := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:])); f[1] == strconv.Itoa(host.Process.Pid) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(p)))
			plugins = append(plugins, pid)
		}
	}
	if len(plugins) != 1 {
		t.Fatalf("the host has %d plugins running", len(plugins))
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	for range 6000 {
		if !alive(plugins[0]) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the plugin %d outlives its host", plugins[0])
}

func TestWhatAPluginSaysIsLogged(t *testing.T) {
	var log lockedBuffer
	h := stranger(t, "noisy", plugin.Options{Log: zerolog.New(&log)})
	if _, err := h.TraceLayer(t.Context(), plugin.Ref{Plugin: "noisy", Type: "print"}, nil, []graph.Type{input}); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	for _, want := range []string{`"level":"warn"`, `"rows":7`, `"message":"a warning"`, `"plugin":"noisy"`, `"pid":`, `plain  [31mwords`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in the log:\n%.2000s", want, text)
		}
	}
}

func TestAPluginSeesNothingOfTheHostsEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	var log lockedBuffer
	h := stranger(t, "nosy", plugin.Options{Log: zerolog.New(&log)})
	if _, err := h.Plugins(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "environment: ") {
		t.Errorf("the plugin's environment: %s", text)
	}
}

func TestAVeryLongTMPDIRWorks(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("very-long-name/", 12))
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	t.Setenv("XDG_RUNTIME_DIR", "")
	h := stranger(t, "calm", plugin.Options{})
	if _, err := h.TraceLayer(t.Context(), plugin.Ref{Plugin: "calm", Type: "fine"}, nil, []graph.Type{input}); err != nil {
		t.Fatal(err)
	}
}

func TestThePinnedBytesAreTheOnesExecuted(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	path := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(path, data, 0o600); err != nil { // not even executable: its copy is
		t.Fatal(err)
	}
	source := plugin.Source{Name: "calm", Path: path, SHA256: hex.EncodeToString(sum[:])}
	h := newHost(t, plugin.Options{Plugins: []plugin.Source{source}})
	pin, err := h.Pin(t.Context(), sdk.LayerKind, plugin.Ref{Plugin: "calm", Type: "fine"})
	if err != nil || pin.SHA256 != source.SHA256 || pin.Version != "9.9.9" {
		t.Errorf("pin %+v, %v", pin, err)
	}
	if err := os.WriteFile(path, append(data, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	h = newHost(t, plugin.Options{Plugins: []plugin.Source{source}})
	_, err = h.Pin(t.Context(), sdk.LayerKind, plugin.Ref{Plugin: "calm", Type: "fine"})
	wantDiagnostic(t, err, "plugin_digest", "not the one that is pinned", source.SHA256)
}

func TestFilesThatAreNoPlugins(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		path, code string
		words      []string
	}{
		{filepath.Join(dir, "absent"), "plugin_missing", []string{"no such file"}},
		{"", "plugin_missing", []string{"hone plugin install"}},
		{dir, "plugin_missing", []string{"no program"}},
		{write("empty", ""), "plugin_missing", []string{"no program"}},
		{write("text", "just text\n"), "plugin_start", []string{"exec format error", runtime.GOARCH}},
	} {
		h := newHost(t, plugin.Options{Plugins: []plugin.Source{{Name: "odd", Path: c.path}}})
		_, err := h.Component(t.Context(), sdk.LayerKind, plugin.Ref{Plugin: "odd", Type: "x"})
		wantDiagnostic(t, err, c.code, append(c.words, `"odd"`)...)
	}
}

// A script is a plugin too, one that starts the program proper; what is pinned is
// the script. Its private copy goes when the host does.
func TestAScriptIsAPlugin(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("there is no shell")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	text := fmt.Sprintf("#!%s\nexec '%s' \"$@\"\n", sh, self)
	sum := sha256.Sum256([]byte(text))
	path := filepath.Join(t.TempDir(), "plugin.sh")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, plugin.Options{Plugins: []plugin.Source{{Name: "calm", Path: path, SHA256: hex.EncodeToString(sum[:])}}})
	if _, err := h.TraceLayer(t.Context(), plugin.Ref{Plugin: "calm", Type: "fine"}, nil, []graph.Type{input}); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// One that ends, or whose interpreter is not there, says so.
	for text, words := range map[string][]string{
		"#!" + sh + "\necho broken >&2\nexit 4\n": {"plugin_died", "exit status 4", "broken"},
		"#!/no/such/interpreter\n":                {"plugin_start", "no such file"},
	} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		h := newHost(t, plugin.Options{Plugins: []plugin.Source{{Name: "calm", Path: path}}})
		_, err := h.TraceLayer(t.Context(), plugin.Ref{Plugin: "calm", Type: "fine"}, nil, []graph.Type{input})
		wantDiagnostic(t, err, words[0], words[1:]...)
	}
}

func TestForbiddenAndStoppedPluginsDoNotStart(t *testing.T) {
	h := newHost(t, plugin.Options{Forbid: true})
	_, err := h.TraceLayer(t.Context(), plugin.Ref{Type: "relu"}, nil, []graph.Type{input})
	wantDiagnostic(t, err, "plugin_forbidden", "base")
	h = newHost(t, plugin.Options{})
	if _, err := h.TraceLayer(t.Context(), plugin.Ref{Type: "relu"}, nil, []graph.Type{input}); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.TraceLayer(t.Context(), plugin.Ref{Type: "relu"}, nil, []graph.Type{input}); err != nil {
		t.Errorf("what was traced is gone: %v", err)
	}
	_, err = h.TraceInitializer(t.Context(), plugin.Ref{Type: "ones"}, nil, graph.T(graph.F32, 3), nil)
	wantDiagnostic(t, err, "plugin_stopped")
}

func TestAStrangersLayerIsTheOneLinkedIn(t *testing.T) {
	x := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(5)}}
	config := plugin.Config{"activation": "relu", "factor": 3}
	h := stranger(t, "calm", plugin.Options{})
	there, err := h.TraceLayer(t.Context(), plugin.Ref{Plugin: "calm", Type: "scale"}, config, []graph.Type{x})
	if err != nil {
		t.Fatal(err)
	}
	here, err := h.TraceLayer(t.Context(), plugin.Ref{Type: "scale"}, config, []graph.Type{x})
	if err != nil {
		t.Fatal(err)
	}
	if graph.Digest(there) != graph.Digest(here) {
		t.Errorf("a stranger's layer gives\n%v\nlinked in it gives\n%v", there, here)
	}
}

func TestACancelledCallEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	h := stranger(t, "calm", plugin.Options{})
	_, err := h.TraceLayer(ctx, plugin.Ref{Plugin: "calm", Type: "hang"}, nil, []graph.Type{input})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, wanted the context's end", err)
	}
}

func TestManyGoroutinesShareAPlugin(t *testing.T) {
	h := stranger(t, "calm", plugin.Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			x := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(int64(i%3 + 1))}}
			if _, err := h.TraceLayer(t.Context(), plugin.Ref{Plugin: "calm", Type: "scale"}, plugin.Config{"factor": i % 2}, []graph.Type{x}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// lockedBuffer is a buffer for several writers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func must(m *graphpb.Module) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}
