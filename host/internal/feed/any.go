package feed

import (
	"context"

	"github.com/hone-ml/hone/host/internal/data"
)

// ReadAny reads a file of examples, whose kind its content and name tell.
func ReadAny(ctx context.Context, path string) (*data.Table, error) {
	src, err := data.Open(ctx, path, data.OpenOptions{})
	if err != nil {
		return nil, err
	}
	return data.ReadAll(ctx, src)
}
