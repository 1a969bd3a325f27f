package build

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// workerPatience is how long a worker has to end after it was told to.
const workerPatience = 20 * time.Second

// job is what a worker is told, as one JSON object. It is to stop when its input ends.
type job struct {
	Options Options `json:"options"`
	Rank    int     `json:"rank"`
	Dir     string  `json:"dir"`   // to write into
	Cache   string  `json:"cache"` // timing cache: read where it exists, written in the end
}

// answer is what a worker says: progress and messages many times, then a report or an error.
type answer struct {
	Phase    *Phase      `json:"phase,omitempty"`
	Message  *Message    `json:"message,omitempty"`
	Report   *RankReport `json:"report,omitempty"`
	TensorRT string      `json:"tensorrt,omitempty"`
	Error    string      `json:"error,omitempty"`
}

// ServeWorker is the whole of a worker process: it builds the rank that it is told on in and
// answers on out. See [Options.WorkerCommand]. It ends early when ctx does, or when in ends,
// which is when the process that started it has ended. The error is about in and out only.
func ServeWorker(ctx context.Context, in io.Reader, out io.Writer) error {
	decoder := json.NewDecoder(in)
	var j job
	if err := decoder.Decode(&j); err != nil {
		return fmt.Errorf("reading what to build: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in) // nothing more comes
		cancel()
	}()
	encoder := json.NewEncoder(out)
	var broken error
	say := func(a answer) {
		if err := encoder.Encode(a); err != nil && broken == nil {
			broken = err
			cancel()
		}
	}
	j.Options.Phases = func(phase Phase) { say(answer{Phase: &phase}) }
	j.Options.Messages = func(m Message) { say(answer{Message: &m}) }
	report, version, err := j.build(ctx)
	if err != nil {
		say(answer{Error: err.Error()})
	} else {
		say(answer{Report: report, TensorRT: version})
	}
	return broken
}

// build builds the one rank. What can be known to be wrong before, the process
// that gave the job knows.
func (j *job) build(ctx context.Context) (*RankReport, string, error) {
	j.Options.DryRun = true // the directory is not its own
	p, err := prepare(ctx, j.Options, j.Rank)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = p.ckpt.Close() }() // it was only read
	plan := p.plan.(*rankPlan)
	if plan.cache, err = os.ReadFile(j.Cache); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, "", err
	}
	lib, err := openCompiler(plan.s.Backend, plan.s.release)
	if err != nil {
		return nil, "", err
	}
	defer lib.close()
	if err := plan.compileRank(ctx, lib, j.Rank, j.Dir); err != nil {
		return nil, "", err
	}
	if err := os.WriteFile(j.Cache, plan.cache, 0o644); err != nil {
		return nil, "", err
	}
	return &plan.built[j.Rank], lib.version(), nil
}

// pool hands ranks to worker processes.
type pool struct {
	p      *rankPlan
	dir    string
	cancel context.CancelFunc

	mutex sync.Mutex
	next  int   // rank
	err   error // the first
}

// writeParallel builds the ranks in worker processes. The first that fails stops all.
func (p *rankPlan) writeParallel(ctx context.Context, dir string) error {
	if len(p.s.WorkerCommand) == 0 {
		return fmt.Errorf("%w: %d workers without Options.WorkerCommand", ErrOption, p.s.Workers)
	}
	workers, gpus := min(p.s.Workers, len(p.networks)), visibleGPUs()
	if n := len(gpus); n > 0 && workers > n {
		p.s.note("workers is cut to %d, the GPUs there are: kernels are timed on them", n)
		workers = n
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &pool{p: p, dir: dir, cancel: cancel}
	var wait sync.WaitGroup
	for i := range workers {
		gpu := ""
		if len(gpus) > 0 {
			gpu = gpus[i]
		}
		wait.Go(func() { w.work(inner, gpu) })
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.err == nil {
		p.noteVersion()
	}
	return w.err
}

// visibleGPUs names the GPUs that CUDA shows to a process, as CUDA_VISIBLE_DEVICES does: one for each worker, as
// upstream has it. There are none where the driver is not.
func visibleGPUs() []string {
	if list, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
		return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	}
	var gpus []string
	devices, _ := filepath.Glob("/dev/nvidia[0-9]*") // the pattern is well formed
	for i := range devices {
		gpus = append(gpus, strconv.Itoa(i))
	}
	return gpus
}

// work builds rank after rank on a GPU, or where CUDA chooses.
func (w *pool) work(ctx context.Context, gpu string) {
	for {
		w.mutex.Lock()
		rank := w.next
		if w.next++; rank >= len(w.p.networks) || w.err != nil {
			w.mutex.Unlock()
			return
		}
		cache := w.p.cache // of the rank that ended last: kernels that it timed need no timing again
		w.mutex.Unlock()

		a, cache, err := w.run(ctx, rank, gpu, cache)
		w.mutex.Lock()
		if err != nil && w.err == nil {
			w.err = err
			w.cancel()
		}
		if err == nil {
			w.p.built[rank], w.p.version = *a.Report, a.TensorRT
			if len(cache) >= len(w.p.cache) {
				w.p.cache = cache
			}
		}
		w.mutex.Unlock()
	}
}

// run lets a process build a rank, and returns its last word and the timing cache after it.
func (w *pool) run(ctx context.Context, rank int, gpu string, cache []byte) (a answer, after []byte, err error) {
	path := filepath.Join(w.dir, fmt.Sprintf("rank%d.cache", rank))
	if cache != nil {
		if err := os.WriteFile(path, cache, 0o644); err != nil {
			return a, nil, err
		}
	}
	defer os.Remove(path)
	if a, err = w.process(ctx, gpu, job{Options: w.p.s.given, Rank: rank, Dir: w.dir, Cache: path}); err != nil {
		return a, nil, err
	}
	after, err = os.ReadFile(path)
	return a, after, err
}

// process runs a worker. Its input stays open for as long as it is to work.
func (w *pool) process(ctx context.Context, gpu string, j job) (answer, error) {
	failed := func(err error) (answer, error) {
		return answer{}, fmt.Errorf("the worker that builds rank %d: %w", j.Rank, err)
	}
	text, err := json.Marshal(j)
	if err != nil {
		return failed(err)
	}
	command := w.p.s.WorkerCommand
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	words := &lastLine{w: io.Discard}
	cmd.Stderr, cmd.WaitDelay = words, workerPatience
	if gpu != "" {
		cmd.Env = append(os.Environ(), "CUDA_VISIBLE_DEVICES="+gpu)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return failed(err)
	}
	cmd.Cancel = in.Close
	out, err := cmd.StdoutPipe()
	if err != nil {
		return failed(err)
	}
	if err := cmd.Start(); err != nil {
		return failed(err)
	}
	_, err = in.Write(append(text, '\n'))
	last, heard := w.listen(out)
	_ = in.Close()
	_ = out.Close() // who goes on printing ends, and does not wait for a reader
	ended := cmd.Wait()
	cause := cmp.Or(ended, err, heard)
	switch {
	case ctx.Err() != nil:
		return answer{}, ctx.Err()
	case last.Error != "":
		return answer{}, errors.New(last.Error)
	case last.Report != nil && ended == nil:
		return last, nil
	case heard != nil && !errors.Is(heard, io.EOF) && !errors.Is(heard, io.ErrUnexpectedEOF):
		return failed(fmt.Errorf("it prints what is no answer: %w", heard))
	case words.text != "":
		return failed(fmt.Errorf("%w: %.300s", cause, strings.TrimSpace(words.text)))
	}
	return failed(fmt.Errorf("%w, without a word: where memory ran out, fewer --workers help", cause))
}

// listen passes a worker's progress on until its last word.
func (w *pool) listen(out io.Reader) (answer, error) {
	decoder := json.NewDecoder(out)
	for {
		var a answer
		if err := decoder.Decode(&a); err != nil {
			return answer{}, err
		}
		if a.Phase == nil && a.Message == nil {
			return a, nil
		}
		w.mutex.Lock()
		if a.Phase != nil && w.p.s.Phases != nil {
			w.p.s.Phases(*a.Phase)
		}
		if a.Message != nil && w.p.s.Messages != nil {
			w.p.s.Messages(*a.Message)
		}
		w.mutex.Unlock()
	}
}
