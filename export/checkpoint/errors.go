package checkpoint

import (
	"errors"

	"github.com/trtgo/trtgo/internal/outputdir"
)

var (
	// ErrInvalid is wrapped by errors about a directory, config or tensor that
	// breaks the layout: truncated, incomplete, or with values that disagree.
	ErrInvalid = errors.New("invalid checkpoint")
	// ErrUnsupported is wrapped by errors about checkpoints that are legal but
	// use an architecture, quantisation or feature that is not supported; the
	// message names it.
	ErrUnsupported = errors.New("not supported")
	// ErrMapping is wrapped by errors about a number of ranks that the model's
	// sizes do not allow.
	ErrMapping = errors.New("the model cannot be divided so")
	// ErrExists is wrapped by Create when the output directory holds something
	// that it must not replace, or cannot be replaced itself.
	ErrExists = outputdir.ErrRefused
)
