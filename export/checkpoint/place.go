package checkpoint

import "os"

// Place gives the file that the tensor's bytes lie in and where they begin, for
// mapping them. The file is nil for a checkpoint in an archive. It stays open until the
// checkpoint is closed; the caller must not close it.
func (t Tensor) Place() (f *os.File, offset int64) { return t.data.Place() }
