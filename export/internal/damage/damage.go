// Package damage knows which errors of the file formats mean that a source is
// damaged, and which that it is legal but not read.
//
//	if err := open(path); err != nil {
//		return fmt.Errorf("%s: %w", path, damage.Classified(err))
//	}
package damage

import (
	"errors"
	"fmt"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/chunked"
	"github.com/trtgo/trtgo/internal/distcp"
	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/pickle"
	"github.com/trtgo/trtgo/internal/safetensors"
	"github.com/trtgo/trtgo/internal/torchzip"
	"github.com/trtgo/trtgo/internal/zarr"
)

var (
	unsupported = []error{torchzip.ErrUnsupported, zarr.ErrUnsupported, distcp.ErrUnsupported}
	damaged     = []error{
		filetree.ErrFormat, filetree.ErrRefused, safetensors.ErrFormat, safetensors.ErrPointer, torchzip.ErrFormat,
		pickle.ErrFormat, pickle.ErrGlobal, pickle.ErrLimit, zarr.ErrFormat, distcp.ErrFormat, chunked.ErrTiling,
	}
)

// Classified wraps an error about files in checkpoint.ErrUnsupported or
// checkpoint.ErrInvalid; other errors, the system's among them, stay as they are.
// More errors can be named that mean damage where they come from.
func Classified(err error, more ...error) error {
	for _, refusal := range unsupported {
		if errors.Is(err, refusal) {
			return fmt.Errorf("%w: %w", checkpoint.ErrUnsupported, err)
		}
	}
	for _, list := range [][]error{damaged, more} {
		for _, cause := range list {
			if errors.Is(err, cause) {
				return fmt.Errorf("%w: %w", checkpoint.ErrInvalid, err)
			}
		}
	}
	return err
}
