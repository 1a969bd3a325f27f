//go:build !unix

package tensorrt

import "os"

// mapping is a file in memory: there is none on this operating system.
type mapping struct{ data []byte }

func mapFile(*os.File) (*mapping, error) { return nil, errUnmapped }

func (m *mapping) close() error { return nil }
