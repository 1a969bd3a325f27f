package trtllm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/nativeexecutor"
)

// nativeEngine is the engine for TensorRT-LLM that is open in this process, or is being opened or closed.
var nativeEngine struct {
	sync.Mutex
	dir string // "" for none
}

// holdNative reserves the process for the engine in dir.
func holdNative(dir string) error {
	nativeEngine.Lock()
	defer nativeEngine.Unlock()
	if other := nativeEngine.dir; other != "" {
		return fmt.Errorf("%s: %w: this process runs the engine in %s, and TensorRT-LLM runs one at a time in a process: close that first, or use another process", dir, ErrUnsupported, other)
	}
	nativeEngine.dir = dir
	return nil
}

func releaseNative() {
	nativeEngine.Lock()
	defer nativeEngine.Unlock()
	nativeEngine.dir = ""
}

// openNative opens an engine for TensorRT-LLM. Everything that can be compared before is, since loading one takes minutes.
func openNative(ctx context.Context, dir string, c *engineconfig.Config, o *options) (executor.Executor, Config, error) {
	if err := o.checkNative(); err != nil {
		return nil, Config{}, fmt.Errorf("%s: %w", dir, err)
	}
	if err := holdNative(dir); err != nil {
		return nil, Config{}, err
	}
	library, path, err := openLibrary()
	if err != nil {
		releaseNative()
		return nil, Config{}, fmt.Errorf("%s: built for %s: %w", dir, c.Backend(), err)
	}
	p := &preflight{dir: dir, config: c, options: o, library: path, versions: library.Versions(), devices: native.Devices, launch: findLaunch(os.Getenv)}
	l := nativeLoad{library: library, options: native.ExecutorOptions{EngineDir: dir, Plugins: os.Getenv(native.PluginsVariable), Settings: o.settings(c, p.worldSize())}}
	if err := p.check(); err != nil {
		l.giveUp()
		return nil, Config{}, err
	}
	if o.orchestrator {
		worker, err := findWorker(o.worker, os.Getenv, loadedFrom("libtensorrt_llm.so"))
		if err != nil {
			l.giveUp()
			return nil, Config{}, fmt.Errorf("%s: %w", dir, err)
		}
		l.options.Settings = append(l.options.Settings, native.Text("workerExecutablePath", worker),
			native.Ints("recvPollPeriodMs", 1)) // 0 keeps a core busy
	}
	l.policy = o.nativePolicy(c, p.worldSize(), p.weights())
	x, err := l.open(ctx, p.launch)
	if err != nil {
		return nil, Config{}, fmt.Errorf("%s: %w", dir, err)
	}
	return x, o.nativeConfig(c, p.worldSize(), x.Stats()), nil
}

// noLibrary says that something is missing that runs engines for TensorRT-LLM.
func noLibrary(err error) error {
	text := nativeText(err)
	if !strings.Contains(text, "trtgo doctor") {
		text += "; trtgo doctor --backend tensorrt-llm tells what is missing here"
	}
	return &missingError{fmt.Sprintf("%v: %s; trtgo build --backend cpu builds the model for this machine", ErrNoBackend, text), err}
}

// nativeText is an error's text without the native function that failed.
func nativeText(err error) string {
	var e *native.Error
	if errors.As(err, &e) {
		return e.Text
	}
	return err.Error()
}

// missingError is an ErrNoBackend with a text of its own.
type missingError struct {
	text string
	err  error
}

func (e *missingError) Error() string   { return e.text }
func (e *missingError) Unwrap() []error { return []error{ErrNoBackend, e.err} }

// openLibrary loads trtgo's library for TensorRT, and with it TensorRT-LLM.
func openLibrary() (*native.Library, string, error) {
	path, err := native.Find(native.TensorRT)
	if err != nil {
		return nil, "", noLibrary(err)
	}
	library, err := native.Open(native.Options{Flavour: native.TensorRT, Path: path, TensorRT: os.Getenv(native.TensorRTVariable)})
	if err != nil {
		return nil, "", noLibrary(err)
	}
	return library, path, nil
}

// nativeLoad is an engine on its way.
type nativeLoad struct {
	library *native.Library
	options native.ExecutorOptions
	policy  nativeexecutor.Options
}

// giveUp closes what is open of it.
func (l *nativeLoad) giveUp() {
	l.library.Close()
	releaseNative()
}

// open loads the engine and starts its executor. When ctx ends first it returns, and what comes of it is closed then.
func (l *nativeLoad) open(ctx context.Context, started launch) (*nativeexecutor.Executor, error) {
	type opened struct {
		x   *nativeexecutor.Executor
		err error
	}
	done := make(chan opened, 1)
	go func() {
		x, err := l.load()
		done <- opened{x, err}
	}()
	select {
	case o := <-done:
		return o.x, o.err
	case <-ctx.Done():
	}
	go func() {
		if o := <-done; o.x != nil {
			o.x.Close()
		}
	}()
	return nil, fmt.Errorf("opening was given up (%w), what TensorRT-LLM loads meanwhile is closed when it is there, and until then this process opens no other engine for it; where it never ends, MPI may be waiting for processes that were not started (%s), and trtgo doctor looks at what MPI needs",
		ctx.Err(), started.variables(os.Getenv))
}

// load does what blocks for minutes. It takes over the library.
func (l *nativeLoad) load() (*nativeexecutor.Executor, error) {
	engine, err := l.library.NewExecutor(l.options)
	if err != nil {
		l.giveUp()
		return nil, openError(err)
	}
	owned := &ownedEngine{engine, l, make(chan struct{})}
	x, err := nativeexecutor.New(owned, l.policy)
	if err != nil { // it closes the engine, which may hang
		select {
		case <-owned.closed:
		case <-time.After(closeTimeout):
		}
	}
	return x, err
}

// ownedEngine closes its library too.
type ownedEngine struct {
	*native.Executor
	load   *nativeLoad
	closed chan struct{}
}

func (e *ownedEngine) Close() {
	e.Executor.Close()
	e.load.giveUp()
	close(e.closed)
}

// openError tells what kind of failure TensorRT-LLM's is.
func openError(err error) error {
	refused := &textError{nativeText(err), err}
	switch {
	case errors.Is(err, native.ErrMemory):
		return fmt.Errorf("%w: %w", ErrOutOfMemory, refused)
	case errors.Is(err, native.ErrUnsupported):
		return fmt.Errorf("%w: %w", ErrUnsupported, refused)
	case errors.Is(err, native.ErrVersion): // it says what to do
		return fmt.Errorf("%w: %w", ErrNoBackend, refused)
	case errors.Is(err, native.ErrNotFound), errors.Is(err, native.ErrUnavailable):
		return noLibrary(err)
	}
	return fmt.Errorf("opening it failed: %w", refused)
}

// textError is an error with another text.
type textError struct {
	text string
	err  error
}

func (e *textError) Error() string { return e.text }
func (e *textError) Unwrap() error { return e.err }
