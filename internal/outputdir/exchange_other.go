//go:build !linux

package outputdir

import "errors"

func exchange(string, string) error { return errors.ErrUnsupported }
