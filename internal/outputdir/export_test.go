package outputdir

import (
	"errors"
	"testing"
)

// WithoutSwap makes the file system one that cannot swap names, for one test.
func WithoutSwap(t *testing.T) {
	before := swap
	swap = func(string, string) error { return errors.ErrUnsupported }
	t.Cleanup(func() { swap = before })
}
