package plugin

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk"
)

// linked is a plugin served in this process, over the same messages.
type linked struct {
	services
	name   string
	conn   *grpc.ClientConn
	server *grpc.Server
}

func startLinked(in *instance) (connection, error) {
	s := grpc.NewServer(grpc.MaxRecvMsgSize(sdk.MaxMessageBytes), grpc.MaxSendMsgSize(sdk.MaxMessageBytes))
	if err := sdk.Register(s, *in.linked); err != nil {
		return nil, fmt.Errorf("serving the linked plugin %s: %w", in.name, err)
	}
	l := bufconn.Listen(1 << 20)
	go func() { _ = s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///"+in.name,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessageBytes), grpc.MaxCallSendMsgSize(sdk.MaxMessageBytes)))
	if err != nil {
		s.Stop()
		return nil, fmt.Errorf("serving the linked plugin %s: %w", in.name, err)
	}
	return &linked{newServices(conn), in.name, conn, s}, nil
}

func (l *linked) explain(what string, err error) (diag.Diagnostic, bool) {
	return explainStatus(l.name, what, err)
}

func (l *linked) stop() error {
	err := l.conn.Close()
	l.server.Stop()
	return err
}
