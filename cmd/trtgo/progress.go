package main

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// linePeriod is how often progress is told when stderr is no terminal.
const linePeriod = 5 * time.Second

// progress shows bytes done, rate and time left: a bar on a terminal, a line
// every few seconds otherwise, nothing with --quiet. It is safe for concurrent use.
type progress struct {
	mu       sync.Mutex
	bar      *progressbar.ProgressBar
	lines    func(done, total int64)
	lastLine time.Time
}

func newProgress(c *cli.Context, what string, log interface{ Info(string, ...any) }) *progress {
	p := &progress{lastLine: time.Now()}
	switch {
	case c.Bool("quiet"):
	case isTerminal(c.App.ErrWriter):
		p.bar = progressbar.NewOptions64(-1,
			progressbar.OptionSetWriter(c.App.ErrWriter), progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(true), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	default:
		p.lines = func(done, total int64) {
			log.Info(what, "done", humanBytes(done), "of", humanBytes(total))
		}
	}
	return p
}

// set tells how many bytes are done.
func (p *progress) set(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		if p.bar.GetMax64() != total {
			p.bar.ChangeMax64(total)
		}
		_ = p.bar.Set64(done) // only an impossible number fails, and that is no reason to stop
		return
	}
	if p.lines != nil && time.Since(p.lastLine) >= linePeriod {
		p.lastLine = time.Now()
		p.lines(done, total)
	}
}

// end removes the bar.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
