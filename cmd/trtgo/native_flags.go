package main

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/trtllm"
)

// nativeDescription is what the help of commands that run engines says of those for TensorRT-LLM.
const nativeDescription = "An engine for TensorRT-LLM with several ranks runs in as many processes, each the same command: mpirun -n 2 trtgo …,\n" +
	"where all but one print nothing; or --orchestrator starts them. What TensorRT-LLM logs goes to stderr: errors only, unless\n" +
	"--log_level or the variable TLLM_LOG_LEVEL (TRACE, DEBUG, INFO, WARNING, ERROR) is set."

// nativeFlags are those of engines for TensorRT-LLM. Upstream's are taken without effect for other engines, ours refused.
func nativeFlags() []cli.Flag {
	const others = "; other engines: without effect"
	return inCategory("engine for TensorRT-LLM", []cli.Flag{
		&cli.StringSliceFlag{Name: "device-ids", DefaultText: "by rank", Usage: "GPUs of the ranks on this machine, 0,1; as CUDA counts those that CUDA_VISIBLE_DEVICES shows"},
		&cli.BoolFlag{Name: "orchestrator", Usage: "start the engine's ranks as processes of their own, without mpirun"},
		&cli.StringFlag{Name: "executor-worker", DefaultText: "beside TensorRT-LLM, else in PATH", Usage: "TensorRT-LLM's program executorWorker, which runs a rank; implies --orchestrator"},
		&cli.StringFlag{Name: "kv-cache-host-memory-bytes", DefaultText: "none", Usage: "memory of the machine, in bytes of each rank, for KV blocks that no request holds"},
		&cli.Float64Flag{Name: "gpu-weights-percent", Value: 1, Usage: "share of the weights that stays in the GPU's memory, from 0 to 1; less than 1 needs build --weight_streaming" + others},
		&cli.BoolFlag{Name: "enable-chunked-context", DefaultText: "on where the engine has use_paged_context_fmha", Usage: "compute long prompts in several steps; --enable_chunked_context=false refuses prompts above max_num_tokens instead" + others},
		&cli.StringFlag{Name: "multi-block-mode", Value: "true", Usage: "divide the attention of long sequences among the GPU's processors: yes, true, t, 1, or else no" + others},
		&cli.BoolFlag{Name: "cuda-graph-mode", Usage: "start the kernels of a step as one CUDA graph" + others},
		&cli.BoolFlag{Name: "enable-context-fmha-fp32-acc", Usage: "add up the attention of prompts in float32" + others},
	})
}

func checkNativeFlags(c *cli.Context) error {
	if _, err := deviceIDs(c); err != nil {
		return err
	}
	if _, err := hostBytes(c); err != nil {
		return err
	}
	return between(c, "gpu-weights-percent", 0, 1)
}

// deviceIDs is nil where none were given.
func deviceIDs(c *cli.Context) ([]int, error) {
	var ids []int
	for _, text := range commaValues(c, "device-ids") {
		id, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || id < 0 {
			return nil, usagef("--device_ids: %q is no GPU, the first is 0", text)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func hostBytes(c *cli.Context) (int64, error) {
	text := c.String("kv-cache-host-memory-bytes")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, usagef("--kv_cache_host_memory_bytes %q is no number of bytes", text)
	}
	return n, nil
}

// ownNativeOptions are ours, which other engines refuse by name.
func ownNativeOptions(c *cli.Context) []trtllm.Option {
	var options []trtllm.Option
	if ids, _ := deviceIDs(c); ids != nil { // they have been checked
		options = append(options, trtllm.WithDeviceIDs(ids...))
	}
	if worker := c.String("executor-worker"); c.Bool("orchestrator") || worker != "" {
		options = append(options, trtllm.WithOrchestrator(worker))
	}
	if n, _ := hostBytes(c); n > 0 {
		options = append(options, trtllm.WithHostCacheBytes(n))
	}
	return options
}

// upstreamNativeOptions are upstream's, for the engines that have them.
func upstreamNativeOptions(c *cli.Context) []trtllm.Option {
	options := []trtllm.Option{trtllm.WithGatherGenerationLogits(needsGenerationLogits(c))}
	if c.IsSet("gpu-weights-percent") {
		options = append(options, trtllm.WithGPUWeightsPercent(c.Float64("gpu-weights-percent")))
	}
	if c.IsSet("enable-chunked-context") {
		options = append(options, trtllm.WithChunkedContext(c.Bool("enable-chunked-context")))
	}
	if c.IsSet("multi-block-mode") {
		on := slices.Contains([]string{"yes", "true", "t", "1"}, strings.ToLower(c.String("multi-block-mode")))
		options = append(options, trtllm.WithMultiBlockMode(on))
	}
	if c.Bool("cuda-graph-mode") {
		options = append(options, trtllm.WithCUDAGraphMode(true))
	}
	if c.Bool("enable-context-fmha-fp32-acc") {
		options = append(options, trtllm.WithContextFMHAFP32Acc(true))
	}
	return options
}

// needsGenerationLogits tells whether the command asks for what TensorRT-LLM has no log-probs of its own for: it tells
// those of the distribution that is drawn from.
func needsGenerationLogits(c *cli.Context) bool {
	if c.Bool("output-generation-logits") || c.Int("top-log-probs") > 0 {
		return true
	}
	if !c.Bool("return-log-probs") && c.String("output-log-probs-npy") == "" && c.String("output-cum-log-probs-npy") == "" {
		return false
	}
	return slices.ContainsFunc([]string{
		"temperature", "min-p", "repetition-penalty", "presence-penalty", "frequency-penalty", "no-repeat-ngram-size", "logit-bias", "bad-words", "min-tokens",
	}, c.IsSet)
}

// engineBackend is the backend of the engine in a directory, "" where that cannot be read; opening it tells why.
func engineBackend(dir string) string {
	config, err := engineconfig.Read(dir)
	if err != nil {
		return ""
	}
	return config.Backend()
}

// tensorrtLevels are TensorRT-LLM's names of our levels.
var tensorrtLevels = map[string]string{
	"trace": "TRACE", "debug": "DEBUG", "verbose": "DEBUG", "info": "INFO", "warning": "WARNING", "error": "ERROR", "internal_error": "ERROR",
}

// loadingPatience is how long loading an engine takes before something is said.
const loadingPatience = 10 * time.Second

// tellOfLoading says what is going on when it takes long. The result ends that.
func tellOfLoading(log *slog.Logger) (stop func() bool) {
	return time.AfterFunc(loadingPatience, func() {
		log.Info("TensorRT-LLM is loading the engine, which may take minutes; Ctrl-C ends that and tells what it may be waiting for")
	}).Stop
}

// prepareNative makes the process ready for TensorRT-LLM: what it prints goes to stderr, as much as --log_level or
// TLLM_LOG_LEVEL say, and errors only without either. It reads the variable when it is loaded.
func prepareNative(c *cli.Context) error {
	if err := ownStdout(c); err != nil {
		return err
	}
	level := "ERROR"
	if c.IsSet("log-level") && !c.Bool("quiet") {
		level = tensorrtLevels[c.String("log-level")]
	}
	if os.Getenv("TLLM_LOG_LEVEL") == "" || c.IsSet("log-level") {
		if err := os.Setenv("TLLM_LOG_LEVEL", level); err != nil {
			return fmt.Errorf("TLLM_LOG_LEVEL: %w", err)
		}
	}
	return nil
}
