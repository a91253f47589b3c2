package sdk

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// Handshake is what host and plugin agree on before they speak. ProtocolVersion
// stands for the protobuf package hone.plugin.v1.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "HONE_PLUGIN", MagicCookieValue: "c83d6f1a94e0b752"}
}

// The environment of a plugin's process, beside that of go-plugin.
const (
	// ChildEnv marks a process as a plugin: it must not start plugins itself.
	ChildEnv = "HONE_PLUGIN_CHILD"
	// LifelineEnv holds the number of a file that is open as long as the host
	// lives: at its end the plugin exits.
	LifelineEnv = "HONE_PLUGIN_LIFELINE"
	// ServeEnv asks a binary that calls [Main] to serve the linked plugin of that name.
	ServeEnv = "HONE_PLUGIN_SERVE"
)

// Serve serves p to the host that started this process; it is all that a
// plugin's main does. It exits with a message on standard error where p is
// malformed or the process was started by hand. Standard output belongs to the
// handshake: a plugin prints to standard error.
func Serve(p Plugin) {
	if err := serve(p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(p Plugin) error {
	components, err := p.components()
	if err != nil {
		return err
	}
	hello := Handshake()
	if os.Getenv(hello.MagicCookieKey) != hello.MagicCookieValue {
		return fmt.Errorf("%s %s is a plugin of hone with %d components; hone starts it. Name it in required_plugins of a spec, or try: hone plugin list",
			p.Name, p.Version, len(components))
	}
	watchLifeline()
	stderr := os.Stderr
	// go-plugin sends what is written to os.Stderr over the connection, where the
	// last words of a process that ends are lost; the real one keeps them.
	restore := sync.OnceFunc(func() { os.Stderr = stderr })
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: hello,
		Plugins:         plugin.PluginSet{"hone": &GRPCPlugin{Plugin: p}},
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(o, grpc.MaxRecvMsgSize(MaxMessageBytes), grpc.MaxSendMsgSize(MaxMessageBytes),
				grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
					restore()
					return next(ctx, req)
				}))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	})
	return nil
}

// watchLifeline ends the process when the host does, however that ends.
func watchLifeline() {
	fd, err := strconv.ParseUint(os.Getenv(LifelineEnv), 10, 16)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(fd), "lifeline")
	go func() {
		_, _ = io.Copy(io.Discard, f)
		os.Exit(0)
	}()
}

// GRPCPlugin joins go-plugin to the protocol's service.
type GRPCPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	Plugin Plugin // what the server's side serves
}

// GRPCServer registers the service.
func (g *GRPCPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	return Register(s, g.Plugin)
}

// GRPCClient returns the connection, a [grpc.ClientConnInterface].
func (g *GRPCPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

// Bundle is a set of plugins linked into the host's binary.
type Bundle struct {
	Plugins []Plugin
	// SelfExec says that this binary called [Main] first thing, so that the host
	// may serve the plugins by executing it again. Without it they are served in
	// the host's process, over the same protocol.
	SelfExec bool
}

// Main must be the first call of main, and of TestMain: in a process that the
// host started to serve one of the plugins it serves and exits; in any other it
// returns the plugins as a bundle for the host.
func Main(plugins ...Plugin) Bundle {
	if name := os.Getenv(ServeEnv); name != "" {
		for _, p := range plugins {
			if p.Name == name {
				Serve(p)
				os.Exit(0)
			}
		}
		fmt.Fprintf(os.Stderr, "this binary has no plugin %q\n", name)
		os.Exit(1)
	}
	return Bundle{Plugins: plugins, SelfExec: true}
}
