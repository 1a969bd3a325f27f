//go:build !unix

package outputdir

import "os"

// lock does nothing here: nothing counts as abandoned.
func lock(string) (held *os.File, ours bool) { return nil, true }

// hold does nothing here.
func hold(string) (release func()) { return func() {} }
