package build

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/trtgo/trtgo/internal/outputfile"
	"github.com/trtgo/trtgo/internal/regularfile"
)

// maxTimingCache bounds a timing cache; real ones have some megabytes.
const maxTimingCache = 1 << 30

// readTimingCache reads what the build begins with. As upstream, it does without a file that is not there.
func (p *rankPlan) readTimingCache() error {
	path := p.s.InputTimingCache
	if path == "" {
		return nil
	}
	var err error
	p.cache, err = regularfile.Read(path, maxTimingCache)
	if errors.Is(err, fs.ErrNotExist) {
		p.s.note("input_timing_cache %s does not exist: the build begins without", path)
		return nil
	}
	if err != nil {
		return fmt.Errorf("--input_timing_cache: %w", err)
	}
	return nil
}

// keep writes the timing cache after the build. The engine is there already: that the cache cannot be
// written is told, and no failure.
func (p *rankPlan) keep() {
	if p.cache == nil || p.s.Backend != BackendTensorRTLLM {
		return
	}
	f, err := outputfile.Create(p.s.OutputTimingCache)
	if err == nil {
		_, err = f.Write(p.cache)
		if err == nil {
			err = f.Commit()
		}
		f.Discard() // does nothing after Commit
	}
	if err != nil {
		p.s.note("the timing cache could not be written: %v", err)
	}
}
