package benchmark

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

// Options say what to measure.
type Options struct {
	Name       string // of the engine, for people
	Threads    []int  // at least one; each is measured with all cases
	Prefill    []int  // lengths of prompts
	BatchSizes []int  // of decode steps, each with every context
	Contexts   []int
	Precision  string // as in cpu.Options
	Load       string // as in cpu.Options
	Rounds     int    // steps of each case that are measured, 0 is 11
	MaxTime    time.Duration
	Operations bool // keep each operation's profile, not the kinds' only
	Progress   func(done, total int64)
}

// MaxTime ends the rounds of a case, but not before the third.
const (
	defaultRounds = 11
	leastRounds   = 3
	defaultTime   = 20 * time.Second
)

// cases lists them, thread count by thread count.
func (o *Options) cases(threads int) []Case {
	var cases []Case
	for _, n := range o.Prefill {
		cases = append(cases, Case{Phase: Prefill, Threads: threads, BatchSize: 1, Tokens: n})
	}
	for _, c := range o.Contexts {
		for _, b := range o.BatchSizes {
			cases = append(cases, Case{Phase: Decode, Threads: threads, BatchSize: b, Tokens: b, Context: c})
		}
	}
	return cases
}

// Report is what was measured of an engine.
type Report struct {
	Name           string   `json:"name"`
	Machine        string   `json:"machine"`
	ISA            string   `json:"isa"`
	Precision      string   `json:"precision"`
	WeightDtypes   string   `json:"weight_dtypes"` // of the linear layers, the most first
	KVCacheDtype   string   `json:"kv_cache_dtype"`
	EngineBytes    int64    `json:"engine_bytes"`
	LastLevelCache int64    `json:"last_level_cache_bytes"` // 0: unknown
	Layers         int      `json:"num_layers"`
	Cases          []Result `json:"cases"`
}

// Cached tells whether so much of the engine fits the last-level cache that the speed
// of memory is no strict limit.
func (r *Report) Cached() bool { return r.EngineBytes < 4*r.LastLevelCache }

// Result is what was measured of a case. A Spread is the least, the median and the
// greatest of its rounds.
type Result struct {
	Case
	Cost
	Rounds             int             `json:"rounds"`
	Seconds            benchdoc.Spread `json:"seconds"` // of a step
	MeanSeconds        float64         `json:"mean_seconds"`
	TokensPerSecond    benchdoc.Spread `json:"tokens_per_second"`
	BytesPerToken      float64         `json:"bytes_per_token"`
	OperationsPerToken float64         `json:"operations_per_token"`
	GBPerSecond        benchdoc.Spread `json:"gb_per_second"`
	GFLOPPerSecond     benchdoc.Spread `json:"gflop_per_second"`
	Stream             benchdoc.Spread `json:"stream_gb_per_second"`
	Peak               benchdoc.Spread `json:"peak_gflop_per_second"` // of the mixture of arithmetic that the step has
	OfStream           benchdoc.Spread `json:"of_stream"`
	OfPeak             benchdoc.Spread `json:"of_peak"`
	Bound              string          `json:"bound"` // memory or arithmetic
	OfLimit            benchdoc.Spread `json:"of_limit"`
	// Of steps that were observed, which are others than those above.
	Kinds      []Share     `json:"kinds"`
	Operations []Operation `json:"operations,omitempty"`
	// Goal is a share of the limit that a picture shows; 0 is none.
	Goal  float64 `json:"goal,omitempty"`
	spans []span
}

// Run measures all cases of an engine file. Errors are those of cpu.Open, executor's
// for a case that does not fit the engine or the memory, and ctx's.
func Run(ctx context.Context, path string, o Options) (*Report, error) {
	if o.Rounds == 0 {
		o.Rounds = defaultRounds
	}
	if o.MaxTime == 0 {
		o.MaxTime = defaultTime
	}
	file, err := cpuengine.Open(path)
	if err != nil {
		return nil, err
	}
	if err := o.check(file.Program); err != nil {
		return nil, err
	}
	report := &Report{
		Name: o.Name, Machine: benchdoc.Machine(), EngineBytes: file.Size, LastLevelCache: lastLevelCache(os.DirFS("/").(readFS)),
		WeightDtypes: weightDtypes(file), Layers: file.Program.NumLayers,
	}
	progress := progress{report: o.Progress, total: int64(len(o.Threads) * len(o.cases(1)) * (o.Rounds + 1))}
	for _, threads := range o.Threads {
		if err := runThreads(ctx, file, &o, threads, report, &progress); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, err
		}
	}
	return report, nil
}

// check refuses cases that no engine of this program can run.
func (o *Options) check(p *cpuengine.Program) error {
	for _, threads := range o.Threads {
		if available := cpu.AvailableCPUs(); threads < 1 || threads > available {
			return fmt.Errorf("%w: %d threads, this process may use %d CPUs: what more threads do is no measure of the engine", executor.ErrInvalidOption, threads, available)
		}
	}
	for _, c := range o.cases(1) {
		if c.Tokens < 1 || c.BatchSize < 1 || c.Context < 0 {
			return fmt.Errorf("%w: a %s of %d sequences, %d tokens and a context of %d", executor.ErrInvalidOption, c.Phase, c.BatchSize, c.Tokens, c.Context)
		}
		if c.seqLen() > p.MaxPositionEmbeddings {
			return fmt.Errorf("%w: %s of %d tokens behind a context of %d, and the engine has %d positions", executor.ErrInvalidOption, c.Phase, c.Tokens/c.BatchSize, c.Context, p.MaxPositionEmbeddings)
		}
	}
	return nil
}

func runThreads(ctx context.Context, file *cpuengine.File, o *Options, threads int, report *Report, progress *progress) (err error) {
	cases := o.cases(threads)
	options := cpu.Options{Threads: threads, Precision: o.Precision, Load: o.Load}
	for _, c := range cases {
		options.MaxBatchSize = max(options.MaxBatchSize, c.BatchSize)
		options.MaxNumTokens = max(options.MaxNumTokens, c.Tokens, seedTokens)
		options.MaxSeqLen = max(options.MaxSeqLen, c.seqLen())
		options.KVCacheTokens = max(options.KVCacheTokens, int64(blocksOf(c)*c.BatchSize*cpuengine.KVBlockTokens))
	}
	runner, err := cpu.Open(ctx, file.Path, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, runner.Close()) }()
	ceilings, err := cpu.OpenLimits(options)
	if err != nil {
		return err
	}
	defer ceilings.Close()
	d := runner.Describe()
	report.ISA, report.Precision = d.ISA, d.Precision
	report.KVCacheDtype = runner.Limits().KVCacheDtype
	m := &measurement{
		model:  &model{program: file.Program, sections: file.Sections, isa: d.ISA, precision: d.Precision},
		runner: runner, ceilings: ceilings, options: o, progress: progress,
	}
	for _, c := range cases {
		result, err := m.run(ctx, c)
		if err != nil {
			return err
		}
		report.Cases = append(report.Cases, *result)
	}
	return nil
}

// weightDtypes names those of the linear layers, those of most weights first.
func weightDtypes(file *cpuengine.File) string {
	count := map[string]int64{}
	for _, op := range file.Program.Ops {
		if op.Kind == cpuengine.OpLinear {
			s := &file.Sections[op.Weight]
			name := s.Dtype
			if s.Group > 0 {
				name += " g" + strconv.Itoa(s.Group)
			}
			count[name] += int64(op.N) * int64(op.K)
		}
	}
	var names []string
	for name := range count {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(min(max(count[b]-count[a], -1), 1)) })
	return strings.Join(names, ", ")
}

type readFS interface {
	ReadFile(name string) ([]byte, error)
}

// lastLevelCache is the size of the largest cache that the first CPU has; 0 is unknown.
func lastLevelCache(root readFS) int64 {
	var largest int64
	for i := range 8 {
		text, err := root.ReadFile(filepath.Join("sys/devices/system/cpu/cpu0/cache", fmt.Sprintf("index%d", i), "size"))
		if err != nil {
			break
		}
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(text)), "K"), 10, 64) // no number is 0
		largest = max(largest, kib<<10)
	}
	return largest
}

// progress counts the rounds of all cases.
type progress struct {
	report      func(done, total int64)
	done, total int64
}

func (p *progress) add(rounds int64) {
	p.done += rounds
	if p.report != nil {
		p.report(p.done, p.total)
	}
}
