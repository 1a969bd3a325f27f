package trtllm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	l := nativeLoad{library: library, options: native.ExecutorOptions{EngineDir: dir, Plugins: findPlugins(), Settings: o.settings(c, p.worldSize())}}
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
		l.options.Settings = append(l.options.Settings, native.Text("workerExecutablePath", worker))
	}
	l.policy = o.nativePolicy(c, p.weights())
	x, err := l.open(ctx, p.launch)
	if err != nil {
		return nil, Config{}, fmt.Errorf("%s: %w", dir, err)
	}
	return x, o.nativeConfig(c, p.worldSize(), x.Stats()), nil
}

// noLibrary says that something is missing that runs engines for TensorRT-LLM.
func noLibrary(err error) error {
	return &missingError{fmt.Sprintf("%v: %s; trtgo doctor --backend tensorrt-llm tells what is missing here, and trtgo build --backend cpu builds the model for this machine", ErrNoBackend, nativeText(err)), err}
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

// findPlugins prefers the plugins beside the TensorRT-LLM that is loaded: two releases must not be mixed.
func findPlugins() string {
	found := native.FindPlugins()
	if loaded := loadedFrom("libtensorrt_llm.so"); loaded != "" && os.Getenv(native.PluginsVariable) == "" {
		beside := filepath.Join(filepath.Dir(loaded), filepath.Base(found))
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	return found
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
	case errors.Is(err, native.ErrNotFound), errors.Is(err, native.ErrVersion), errors.Is(err, native.ErrUnavailable):
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

// statisticsKept is how many iterations TensorRT-LLM keeps for the executor, which takes them all the time.
const statisticsKept = 1000

// settings are the options by the names of TensorRT-LLM's setters.
func (o *options) settings(c *engineconfig.Config, worldSize int) []native.Field {
	flag := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	policy := "GUARANTEED_NO_EVICT"
	if o.policy == MaxUtilization {
		policy = "MAX_UTILIZATION"
	}
	fields := []native.Field{
		native.Ints("maxBeamWidth", int64(c.Build.MaxBeamWidth)),
		native.Text("capacitySchedulerPolicy", policy),
		native.Ints("enableBlockReuse", flag(!o.noBlockReuse)),
		native.Ints("enableChunkedContext", flag(o.chunked(c))),
		native.Ints("gatherGenerationLogits", flag(o.generationLogits)),
		native.Ints("iterStatsMaxIterations", statisticsKept),
		native.Ints("maxSeqIdleMicroseconds", o.idle().Microseconds()),
	}
	number := func(name string, n int64) {
		if n > 0 {
			fields = append(fields, native.Ints(name, n))
		}
	}
	if o.requestStats > 0 {
		number("requestStatsMaxIterations", statisticsKept)
	}
	number("maxBatchSize", int64(stepLimit(c.Build.MaxBatchSize, o.maxBatchSize)))
	number("maxNumTokens", int64(stepLimit(c.Build.MaxNumTokens, o.maxNumTokens)))
	number("maxTokens", int64(o.kvCacheTokens))
	number("hostCacheSize", o.hostCacheBytes)
	if f := o.kvCacheFraction; f != nil {
		fields = append(fields, native.Floats("freeGpuMemoryFraction", float32(*f)))
	}
	if p := o.gpuWeightsPercent; p != nil {
		fields = append(fields, native.Floats("gpuWeightsPercent", float32(*p)))
	}
	for _, knob := range []struct {
		name  string
		value *bool
	}{{"multiBlockMode", o.multiBlockMode}, {"cudaGraphMode", o.cudaGraphMode}, {"contextFMHAFP32Acc", o.contextFMHAFP32}} {
		if knob.value != nil {
			fields = append(fields, native.Ints(knob.name, flag(*knob.value)))
		}
	}
	if ids := o.deviceIDs; len(ids) > 0 {
		list := make([]int64, len(ids))
		for i, id := range ids {
			list[i] = int64(id)
		}
		fields = append(fields, native.Ints("deviceIds", list...), native.Ints("numNodes", int64(worldSize/len(ids))))
	}
	return fields
}

// stepLimit is an option that lowers the engine's limit, 0 where it does not.
func stepLimit(engine, option int) int {
	if option < engine {
		return option
	}
	return 0
}

// chunked tells whether prompts may be computed in several steps.
func (o *options) chunked(c *engineconfig.Config) bool {
	return c.Build.Plugins.UsePagedContextFMHA && (o.chunkedContext == nil || *o.chunkedContext)
}

// idle is how long requests may get nowhere.
func (o *options) idle() time.Duration {
	if o.maxSeqIdle > 0 {
		return o.maxSeqIdle
	}
	return 3 * time.Minute
}

// nativePolicy are the options of the executor over TensorRT-LLM's.
func (o *options) nativePolicy(c *engineconfig.Config, weights int64) nativeexecutor.Options {
	n := nativeexecutor.Options{
		VocabSize: c.Pretrained.VocabSize, MaxInputLen: o.maxInputLen(c), MaxSeqLen: c.Build.MaxSeqLen, MaxBeamWidth: c.Build.MaxBeamWidth,
		LogitsType:    map[string]string{"float32": "FLOAT", "float16": "HALF", "bfloat16": "BF16"}[c.Pretrained.LogitsDtype],
		ContextLogits: c.Build.GatherContextLogits, GenerationLogits: o.generationLogits,
		MaxQueueSize: o.maxQueueSize, MaxSeqIdle: o.idle(), RequestStats: o.requestStats,
		Memory: executor.Memory{Weights: weights}, Logger: o.log(),
	}
	if o.iterationStats != nil {
		n.IterationStats = *o.iterationStats
		if n.IterationStats == 0 {
			n.IterationStats = -1 // 0 is its default
		}
	}
	return n
}

// maxInputLen is the longest prompt: the engine's limit, and one step's where prompts are not computed in chunks.
func (o *options) maxInputLen(c *engineconfig.Config) int {
	n := min(c.Build.MaxInputLen, c.Build.MaxSeqLen-1)
	if !o.chunked(c) {
		n = min(n, limited(c.Build.MaxNumTokens, o.maxNumTokens))
	}
	return n
}

// limited is the engine's limit, lowered by an option.
func limited(engine, option int) int {
	if n := stepLimit(engine, option); n > 0 {
		return n
	}
	return engine
}

func (o *options) nativeConfig(c *engineconfig.Config, worldSize int, s executor.Stats) Config {
	dtype := c.Pretrained.Dtype
	if algo := c.Pretrained.Quantization.QuantAlgo; algo != nil && *algo != "" {
		dtype = *algo
	}
	return Config{
		Architecture: c.Pretrained.Architecture, Dtype: dtype, Backend: c.Backend(), VocabSize: c.Pretrained.VocabSize,
		MaxBatchSize: limited(c.Build.MaxBatchSize, o.maxBatchSize), MaxNumTokens: limited(c.Build.MaxNumTokens, o.maxNumTokens),
		MaxInputLen: o.maxInputLen(c), MaxSeqLen: c.Build.MaxSeqLen, KVCacheTokens: s.KVBlocksTotal * s.TokensPerBlock, Ranks: worldSize,
	}
}
