package digits

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/hone-ml/hone/host/internal/data"
)

var (
	//go:embed digits-images-idx3-ubyte.gz
	images []byte
	//go:embed digits-labels-idx1-ubyte.gz
	labels []byte
)

// Load returns the data as a table with the columns image, u8 [8, 8], and
// label, u8 from 0 to 9.
func Load(ctx context.Context) (*data.Table, error) {
	t, err := data.DecodeIDXPair(ctx,
		data.Bytes{Name: "digits-images-idx3-ubyte.gz", Data: images},
		data.Bytes{Name: "digits-labels-idx1-ubyte.gz", Data: labels}, data.Limits{})
	if err != nil {
		return nil, fmt.Errorf("reading the built-in digits: %w", err)
	}
	return t, nil
}
