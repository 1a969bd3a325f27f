package main

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/trtgo/trtgo/build"
)

// linePeriod is how often progress is told when stderr is no terminal.
const linePeriod = 5 * time.Second

// progress shows bytes done, rate and time left: a bar on a terminal, a line
// every few seconds otherwise, nothing with --quiet or a log level above info. It is safe for concurrent use.
type progress struct {
	mu       sync.Mutex
	bar      *progressbar.ProgressBar // nil when stderr is no terminal
	what     string
	steps    bool         // it counts steps, not bytes
	log      *slog.Logger // nil when nothing is shown
	period   time.Duration
	start    time.Time
	lastLine time.Time
}

func newProgress(c *cli.Context, what string, log *slog.Logger) *progress {
	return startProgress(c, what, log, false)
}

// startProgress shows bytes or steps.
func startProgress(c *cli.Context, what string, log *slog.Logger, steps bool) *progress {
	p := &progress{what: what, steps: steps, period: linePeriod, start: time.Now(), lastLine: time.Now()}
	switch {
	case !log.Enabled(c.Context, slog.LevelInfo):
	case isTerminal(c.App.ErrWriter):
		p.bar = progressbar.NewOptions64(-1,
			progressbar.OptionSetWriter(c.App.ErrWriter), progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(!steps), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	default:
		p.log = log
	}
	return p
}

// set tells how many bytes or steps are done; a total of -1 is not known.
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
	if p.log != nil && time.Since(p.lastLine) >= p.period {
		p.lastLine = time.Now()
		p.log.Info(p.line(done, total))
	}
}

func (p *progress) line(done, total int64) string {
	switch {
	case p.steps:
		return fmt.Sprintf("%s: %d of %d", p.what, done, total)
	case total < 0:
		return fmt.Sprintf("%s: %s", p.what, humanBytes(done))
	}
	return progressLine(p.what, done, total, p.lastLine.Sub(p.start))
}

// progressLine is "export: 1.2 GB of 3.4 GB, 260.0 MB/s, 9s left".
func progressLine(what string, done, total int64, elapsed time.Duration) string {
	line := fmt.Sprintf("%s: %s of %s", what, humanBytes(done), humanBytes(total))
	if done <= 0 || elapsed <= 0 {
		return line
	}
	rate := float64(done) / elapsed.Seconds()
	left := time.Duration(float64(total-done) / rate * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%s, %s/s, %v left", line, humanBytes(int64(rate)), left)
}

// end removes the bar.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

// progresses are those of a command's stages, one after the other.
type progresses struct {
	c    *cli.Context
	log  *slog.Logger
	last *progress
	what string
}

// show gives the function that a stage reports its bytes to. Calls must not overlap.
func (p *progresses) show(what string) func(done, total int64, _ string) {
	return func(done, total int64, _ string) {
		if p.what != what {
			p.end()
			p.last, p.what = newProgress(p.c, what, p.log), what
		}
		p.last.set(done, total)
	}
}

// end removes what is shown.
func (p *progresses) end() {
	if p.last != nil {
		p.last.end()
	}
}

// phases show how far TensorRT's builders are: one phase of one rank at a time, the last that was heard of.
type phases struct {
	c    *cli.Context
	log  *slog.Logger
	last *progress
}

func (p *phases) show(phase build.Phase) {
	what := fmt.Sprintf("build: rank %d: %s", phase.Rank, phase.Name)
	if p.last == nil || p.last.what != what {
		next := startProgress(p.c, what, p.log, !phase.Bytes)
		if p.last != nil {
			next.lastLine = p.last.lastLine // phases may be short
			p.last.end()
		}
		p.last = next
	}
	p.last.set(phase.Done, phase.Total)
}

// end removes what is shown.
func (p *phases) end() {
	if p.last != nil {
		p.last.end()
	}
}

// isTerminal tells whether a command's input or output is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
