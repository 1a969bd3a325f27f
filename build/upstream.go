package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// ErrUpstream is wrapped by errors about trtllm-build itself, when that is the builder: it is not there, or it failed.
var ErrUpstream = errors.New("trtllm-build")

// upstreamPatience is how long trtllm-build has to end after it was told to.
const upstreamPatience = 15 * time.Second

// buildUpstream lets upstream's program build the engine and adds what an engine
// directory of this project has besides.
func buildUpstream(ctx context.Context, given Options) (*Report, error) {
	o := given.withDefaults()
	if err := o.checkUpstream(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(o.CheckpointDir, checkpoint.ConfigName)); err != nil {
		return nil, err
	}
	program, err := exec.LookPath(BuilderTRTLLMBuild)
	if err != nil {
		return nil, fmt.Errorf("%w is not on PATH: install TensorRT-LLM %s or use its image, or leave --builder out", ErrUpstream, engineconfig.RuntimeVersion)
	}
	d, err := createDirectory(o.OutputDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.abort() }() // after commit there is nothing to remove
	if err := runUpstream(ctx, program, given.upstreamArgs(d.partial), o.UpstreamOutput); err != nil {
		return nil, err
	}
	report, err := o.finishUpstream(d.partial)
	if err != nil || o.DryRun {
		return report, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return report, d.commit()
}

// checkUpstream checks what trtllm-build does not get to see.
func (o *Options) checkUpstream() error {
	switch {
	case o.CheckpointDir == "":
		return fmt.Errorf("%w: --checkpoint_dir is required", ErrOption)
	case o.OutputDir == "":
		return fmt.Errorf("%w: --output_dir is required", ErrOption)
	case o.Backend != BackendTensorRTLLM:
		return fmt.Errorf("%w: --builder %s builds for --backend %s, not %s", ErrOption, o.Builder, BackendTensorRTLLM, o.Backend)
	case o.TargetVersion != "":
		return fmt.Errorf("%w: --target_version with --builder %s, which builds for its own version", ErrOption, o.Builder)
	case len(o.ComputeCapabilities) > 0:
		return o.unsupported("compute_capability", "an engine for TensorRT-LLM is for the GPU of the machine that builds it")
	}
	_, err := o.kvCacheType()
	return err
}

// upstreamArgs gives trtllm-build's command line: the flags that have a value.
func (o *Options) upstreamArgs(dir string) []string {
	args := []string{"--checkpoint_dir", o.CheckpointDir, "--output_dir", dir}
	for _, f := range []struct {
		flag  string
		value int
	}{
		{"max_batch_size", o.MaxBatchSize}, {"max_input_len", o.MaxInputLen}, {"max_seq_len", o.MaxSeqLen}, {"max_beam_width", o.MaxBeamWidth},
		{"max_num_tokens", o.MaxNumTokens}, {"opt_num_tokens", o.OptNumTokens}, {"max_encoder_input_len", o.MaxEncoderInputLen},
		{"max_prompt_embedding_table_size", o.MaxPromptEmbeddingTableSize}, {"max_lora_rank", o.MaxLoraRank}, {"max_draft_len", o.MaxDraftLen},
		{"tokens_per_block", o.TokensPerBlock}, {"workers", o.Workers},
	} {
		if f.value != 0 {
			args = append(args, "--"+f.flag, strconv.Itoa(f.value))
		}
	}
	for _, f := range []struct{ flag, value string }{
		{"kv_cache_type", o.KVCacheType}, {"paged_kv_cache", o.PagedKVCache}, {"logits_dtype", o.LogitsDtype}, {"lora_ckpt_source", o.LoraCkptSource},
		{"speculative_decoding_mode", o.SpeculativeDecodingMode}, {"profiling_verbosity", o.ProfilingVerbosity},
		{"input_timing_cache", o.InputTimingCache}, {"output_timing_cache", o.OutputTimingCache}, {"visualize_network", o.VisualizeNetwork},
		{"log_level", o.LogLevel},
	} {
		if f.value != "" {
			args = append(args, "--"+f.flag, f.value)
		}
	}
	for _, f := range []struct {
		flag  string
		value bool
	}{
		{"gather_context_logits", o.GatherContextLogits}, {"gather_generation_logits", o.GatherGenerationLogits},
		{"gather_all_token_logits", o.GatherAllTokenLogits}, {"strip_plan", o.StripPlan}, {"weight_sparsity", o.WeightSparsity},
		{"weight_streaming", o.WeightStreaming}, {"fast_build", o.FastBuild}, {"enable_debug_output", o.EnableDebugOutput},
		{"monitor_memory", o.MonitorMemory}, {"dry_run", o.DryRun},
	} {
		if f.value {
			args = append(args, "--"+f.flag)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Plugins)) {
		args = append(args, "--"+name, o.Plugins[name])
	}
	for _, f := range []struct {
		flag   string
		values []string
	}{{"lora_dir", o.LoraDir}, {"lora_target_modules", o.LoraTargetModules}} {
		if len(f.values) > 0 {
			args = append(append(args, "--"+f.flag), f.values...)
		}
	}
	return args
}

// runUpstream runs trtllm-build, and stops it and what it started when ctx ends.
func runUpstream(ctx context.Context, program string, args []string, output io.Writer) error {
	if output == nil {
		output = io.Discard
	}
	if _, err := fmt.Fprintln(output, commandLine(append([]string{BuilderTRTLLMBuild}, args...))); err != nil {
		return err
	}
	last := &lastLine{w: output}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = last, last, upstreamPatience
	ownGroup(cmd)
	err := cmd.Run()
	endGroup(cmd)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case last.text != "":
		return fmt.Errorf("%w failed: %w, its last words: %.300s", ErrUpstream, err, last.text)
	}
	return fmt.Errorf("%w failed: %w", ErrUpstream, err)
}

// lastLine passes output on and keeps its last line that is not empty. One goroutine writes.
type lastLine struct {
	w          io.Writer
	text, rest string
}

func (l *lastLine) Write(p []byte) (int, error) {
	lines := strings.FieldsFunc(l.rest+string(p), func(r rune) bool { return r == '\n' || r == '\r' })
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			l.text = line
		}
	}
	l.rest = ""
	if n := len(lines); n > 0 && len(p) > 0 && p[len(p)-1] != '\n' && len(lines[n-1]) < 4096 {
		l.rest = lines[n-1]
	}
	return l.w.Write(p)
}

// commandLine quotes arguments for a shell where they need it.
func commandLine(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = a
		if a == "" || strings.ContainsFunc(a, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%", r)
		}) {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// finishUpstream checks what trtllm-build wrote into dir, marks it as built by this
// program, and adds the tokenizer's files.
func (o *Options) finishUpstream(dir string) (*Report, error) {
	path := filepath.Join(dir, engineconfig.FileName)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w ended well, but wrote no %s", ErrUpstream, engineconfig.FileName)
	}
	c, err := engineconfig.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w wrote a %s that cannot be read: %w", ErrUpstream, engineconfig.FileName, err)
	}
	r := &Report{
		Dir: o.OutputDir, Backend: o.Backend, WeightDtype: c.Pretrained.Dtype, MaxBatchSize: c.Build.MaxBatchSize, MaxInputLen: c.Build.MaxInputLen,
		MaxSeqLen: c.Build.MaxSeqLen, MaxNumTokens: c.Build.MaxNumTokens,
	}
	if algo := c.Pretrained.Quantization.QuantAlgo; algo != nil && *algo != "" {
		r.WeightDtype = *algo
	}
	if o.DryRun {
		return r, nil
	}
	for rank := range c.Pretrained.Mapping.TPSize * c.Pretrained.Mapping.PPSize {
		stat, err := os.Stat(filepath.Join(dir, engineconfig.EngineName(rank)))
		if err != nil || stat.Size() == 0 {
			return nil, fmt.Errorf("%w ended well, but wrote no %s", ErrUpstream, engineconfig.EngineName(rank))
		}
		report := RankReport{Rank: rank, Engine: stat.Size()}
		if stat, err := os.Stat(filepath.Join(dir, engineconfig.ManagedWeightsName(rank))); err == nil {
			report.Managed = stat.Size()
		}
		r.Ranks = append(r.Ranks, report)
		r.Bytes += report.Engine + report.Managed
	}
	if text, err = o.markUpstream(text, r.WeightDtype); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	if err := copyTokenizer(dir, o.CheckpointDir); err != nil {
		return nil, err
	}
	return r, writeFile(path, text)
}

// markUpstream adds this project's part to a config, whose text it leaves as it is: runtimes ignore what they do not know.
func (o *Options) markUpstream(text []byte, dtype string) ([]byte, error) {
	t := &engineconfig.Trtgo{
		Backend: o.Backend, Builder: BuilderTRTLLMBuild, WeightDtype: dtype, Producer: engineconfig.Producer{Name: ProducerName, Version: o.Version},
	}
	if here, _ := machineCapability(o.Workers); here != 0 {
		t.ComputeCapabilities = []string{capabilityName(here)}
	}
	part, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	text, ok := bytes.CutSuffix(bytes.TrimSpace(text), []byte("}"))
	if !ok {
		return nil, fmt.Errorf("%w wrote a %s that does not end as an object", ErrUpstream, engineconfig.FileName)
	}
	var b bytes.Buffer
	b.Write(bytes.TrimRight(text, " \t\r\n"))
	b.WriteString(",\n    \"trtgo\": ")
	if err := json.Indent(&b, part, "    ", "    "); err != nil {
		return nil, err
	}
	b.WriteString("\n}\n")
	return b.Bytes(), nil
}
