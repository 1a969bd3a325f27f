//go:build cgo && linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/doctor"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/nativetest"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// nativeRun is a finished trtgo over the stand-in for TensorRT-LLM.
type nativeRun struct {
	status         int
	stdout, stderr string
}

// nativeProcess is trtgo in a process of its own, over the stand-in.
func nativeProcess(t *testing.T, env []string, args ...string) (c *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	// The name makes TestMain run main.
	c = &exec.Cmd{Path: program, Args: append([]string{"trtgo"}, args...), Env: env, Stdout: stdout, Stderr: stderr, WaitDelay: 10 * time.Second}
	t.Cleanup(func() {
		if c.Process != nil {
			_ = c.Process.Kill()
		}
	})
	return c, stdout, stderr
}

func runNative(t *testing.T, env []string, args ...string) nativeRun {
	t.Helper()
	c, stdout, stderr := nativeProcess(t, env, args...)
	err := c.Run()
	if exit := new(exec.ExitError); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return nativeRun{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// nativeEngine writes an engine for the stand-in, with the tokenizer of the tiny models.
func nativeEngine(t *testing.T, ranks int, change func(*engineconfig.Config)) string {
	t.Helper()
	source := testmodel.Dir(t, "llama-text")
	dir := filepath.Join(t.TempDir(), "engine")
	nativetest.Engine(t, dir, ranks, 2603, change)
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	return dir
}

// run, chat and summarize work on an engine for TensorRT-LLM; what native libraries print is not on stdout.
func TestNativeCommands(t *testing.T) {
	env := nativetest.StandIn(t, "L4")
	engine := nativeEngine(t, 1, nil)
	dir := t.TempDir()

	r := runNative(t, env, "run", "--engine_dir", engine, "--max_output_len", "6", "--input_text", "a", "b", "--end_id", "-1", "--json",
		"--return_log_probs", "--temperature", "0.5", "--top_k", "5", "--top_log_probs", "2", "--prompt_log_probs",
		"--multi_block_mode", "false", "--cuda_graph_mode", "--enable_context_fmha_fp32_acc", "--enable_chunked_context", "--gpu_weights_percent", "1",
		"--kv_cache_free_gpu_memory_fraction", "0.8", "--max_tokens_in_paged_kv_cache", "256", "--device_ids", "0", "--kv_cache_host_memory_bytes", "4096",
		"--iteration_stats", filepath.Join(dir, "stats.jsonl"))
	require.Zero(t, r.status, r.stderr+r.stdout)
	lines := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
	require.Len(t, lines, 2)
	for i, text := range lines {
		var line jsonSequence
		require.NoError(t, json.Unmarshal([]byte(text), &line), text)
		require.Equal(t, i, line.Index)
		require.Len(t, line.OutputIDs, 6)
		require.Len(t, line.LogProbs, 6)
		require.Len(t, line.TopLogProbs[0], 2)
		require.Equal(t, "length", line.FinishReason)
	}
	require.FileExists(t, filepath.Join(dir, "stats.jsonl"))

	greedy := runNative(t, env, "run", "--engine_dir", engine, "--max_output_len", "6", "--input_ids", "5,6,7", "--end_id", "-1", "--streaming", "--return_log_probs")
	require.Zero(t, greedy.status, greedy.stderr)
	require.Contains(t, greedy.stdout, "Output [Text 0 Beam 0]: ")

	c, stdout, stderr := nativeProcess(t, env, "chat", "--engine_dir", engine, "--max_output_len", "5", "--end_id", "-1", "--json", "--chat_template", "off")
	c.Stdin = strings.NewReader("hello\nagain\n")
	require.NoError(t, c.Run(), stderr)
	require.Equal(t, 2, strings.Count(stdout.String(), "\n"), stdout)

	articles := filepath.Join(dir, "articles.jsonl")
	require.NoError(t, os.WriteFile(articles, []byte(strings.Repeat(`{"article":"a b c","highlights":"a"}`+"\n", 3)), 0o600))
	s := runNative(t, env, "summarize", "--engine_dir", engine, "--test_trt_llm", "--dataset", articles, "--output_len", "8", "--max_input_length", "100",
		"--batch_size", "2", "--max_ite", "2", "--end_id", "-1", "--json")
	require.Zero(t, s.status, s.stderr)
	last := s.stdout[strings.LastIndex(strings.TrimSuffix(s.stdout, "\n"), "\n")+1:]
	require.Contains(t, last, `"rouge1":`)
}

// What TensorRT-LLM logs is chosen by --log_level, else by TLLM_LOG_LEVEL.
func TestNativeLogLevel(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		set  string
		want string
	}{
		"neither":  {nil, "", "ERROR"},
		"variable": {nil, "TRACE", "TRACE"},
		"flag":     {[]string{"--log_level", "verbose"}, "TRACE", "DEBUG"},
		"quiet":    {[]string{"--log_level", "info", "--quiet"}, "", "ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TLLM_LOG_LEVEL", c.set)
			t.Setenv("TRTGO_NATIVE_LIB", "/none")
			dir := filepath.Join(t.TempDir(), "engine")
			nativetest.Engine(t, dir, 1, 97, nil)
			status := run(append([]string{"trtgo", "run", "--engine_dir", dir, "--max_output_len", "1", "--input_ids", "1"}, c.args...), nil, io.Discard, io.Discard)
			require.Equal(t, exitFailed, status)
			require.Equal(t, c.want, os.Getenv("TLLM_LOG_LEVEL"))
		})
	}
}

// What a native library prints to stdout, from the moment that it is loaded, does not stand among results.
func TestNativeStdout(t *testing.T) {
	engine := filepath.Join(t.TempDir(), "engine")
	nativetest.Engine(t, engine, 1, 97, nil)
	env := append(os.Environ(), "TRTGO_NATIVE_LIB="+constructor(t, `puts("[TensorRT-LLM][INFO] noise"); fflush(stdout);`))
	for _, command := range [][]string{{"run", "--max_output_len", "1", "--input_ids", "1", "--json"}, {"chat"}, {"summarize", "--dataset", os.DevNull}} {
		r := runNative(t, env, append(command, "--engine_dir", engine)...)
		require.Equal(t, exitFailed, r.status)
		require.Empty(t, r.stdout)
		if command[0] != "summarize" { // which reads articles first
			require.Contains(t, r.stderr, "[TensorRT-LLM][INFO] noise\n")
			require.Contains(t, r.stderr, "it is of another version of trtgo than this program")
		}
	}
}

// Mismatches are one sentence and a status; nothing is printed.
func TestNativeRefusals(t *testing.T) {
	env := nativetest.StandIn(t, "L4")
	for name, c := range map[string]struct {
		change func(*engineconfig.Config)
		env    []string
		args   []string
		status int
		want   string
	}{
		"release":      {change: func(c *engineconfig.Config) { c.Version = "1.1.0" }, status: 1, want: "the engine was built for TensorRT-LLM 1.1.0, and 1.2.1 is loaded: build it again with trtgo build --backend tensorrt-llm"},
		"capability":   {env: []string{"TRTGO_STANDIN_GPUS=H100,9,0,1000"}, status: 1, want: "the engine was built for compute capability 8.9, and GPU 0 (H100) has 9.0"},
		"no GPU":       {env: []string{"TRTGO_STANDIN_GPUS="}, status: 1, want: "there is no GPU that CUDA can use"},
		"processes":    {env: []string{"OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_LOCAL_SIZE=1"}, status: 2, want: "which takes as many processes as their product, 1, and OMPI_COMM_WORLD_SIZE is 2: start it by mpirun -n 1 trtgo …"},
		"orchestrator": {args: []string{"--executor_worker", "/none"}, status: 2, want: "the worker /none of the orchestrator cannot be run"},
		"streaming":    {args: []string{"--gpu_weights_percent", "0.5"}, status: 2, want: "GPU weights percent is 0.5, and the engine was built without weight_streaming"},
		"logits":       {change: func(c *engineconfig.Config) { c.Build.GatherContextLogits = false }, args: []string{"--prompt_log_probs", "--json"}, status: 1, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			engine := filepath.Join(t.TempDir(), "engine")
			nativetest.Engine(t, engine, 1, 97, c.change)
			r := runNative(t, append(env, c.env...), append([]string{"run", "--engine_dir", engine, "--max_output_len", "2", "--input_ids", "1,2"}, c.args...)...)
			require.Equal(t, c.status, r.status, r.stderr)
			if c.want == "" {
				require.Contains(t, r.stdout, `"error":"not supported by this executor: prompt log-probs are asked for`)
				return
			}
			require.Empty(t, r.stdout)
			require.Contains(t, r.stderr, c.want)
			require.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
		})
	}
}

// mpirun starts the ranks of a command as Open MPI's does, and kills the others when one fails; only rank 0 has stdin.
const mpirun = `#!/bin/sh
# mpirun -n N PROGRAM ARGUMENT …
n=$2; shift 2
export OMPI_COMM_WORLD_SIZE=$n OMPI_COMM_WORLD_LOCAL_SIZE=$n
rank=0; pids=
while [ $rank -lt $n ]; do
  OMPI_COMM_WORLD_RANK=$rank TRTGO_STANDIN_FINALIZED=$OUT/finalized$rank "$@" </dev/null >"$OUT/stdout$rank" 2>"$OUT/stderr$rank" &
  pids="$pids $!"; rank=$((rank + 1))
done
told= # a second signal ends a process at once
trap 'told=1; kill -TERM $pids' TERM
status=0
for pid in $pids; do
  wait $pid; s=$?
  [ $s -gt 128 ] && { wait $pid; s=$?; }
  if [ $s -ne 0 ]; then [ $status -eq 0 ] && status=$s; [ -n "$told" ] || kill $pids 2>/dev/null; fi
done
exit $status
`

// underMpirun starts N ranks of trtgo; what each printed is in the directory.
func underMpirun(t *testing.T, env []string, n int, args ...string) (*exec.Cmd, string) {
	t.Helper()
	dir := t.TempDir()
	program, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(program, filepath.Join(dir, "trtgo"))) // the name makes TestMain run main
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mpirun"), []byte(mpirun), 0o700))
	c := exec.Command(filepath.Join(dir, "mpirun"), append([]string{"-n", fmt.Sprint(n), filepath.Join(dir, "trtgo")}, args...)...)
	c.Env = append(env, "OUT="+dir)
	c.WaitDelay = 30 * time.Second
	return c, dir
}

func printedBy(t *testing.T, dir, name string) string {
	text, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return string(text)
}

// loading tells whether the process of a rank under underMpirun is past its beginning: it loads TensorRT-LLM, or has.
func loading(dir string, rank int) bool {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return false
	}
	for _, process := range processes {
		environment, _ := os.ReadFile(filepath.Join(process, "environ"))
		if !bytes.Contains(environment, []byte("OUT="+dir+"\x00")) || !bytes.Contains(environment, fmt.Appendf(nil, "OMPI_COMM_WORLD_RANK=%d\x00", rank)) {
			continue
		}
		maps, _ := os.ReadFile(filepath.Join(process, "maps"))
		if bytes.Contains(maps, []byte("libtensorrt_llm.so")) {
			return true
		}
	}
	return false
}

// requireFinalized tells that both ranks ended MPI though they failed.
func requireFinalized(t *testing.T, dir string) {
	t.Helper()
	if !raceDetector {
		require.FileExists(t, filepath.Join(dir, "finalized0"))
		require.FileExists(t, filepath.Join(dir, "finalized1"))
	}
}

// Every rank is `trtgo run`: the leader prints, the others wait for it, and all end well.
func TestNativeRanks(t *testing.T) {
	env := nativetest.StandIn(t, "L4", "L4")
	engine := nativeEngine(t, 2, nil)
	c, dir := underMpirun(t, env, 2, "run", "--engine_dir", engine, "--max_output_len", "4", "--input_text", "a", "--end_id", "-1", "--json")
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s%s%s%s", out, printedBy(t, dir, "stdout0"), printedBy(t, dir, "stderr0"), printedBy(t, dir, "stderr1"))
	require.Equal(t, 1, strings.Count(printedBy(t, dir, "stdout0"), "\n"))
	require.Contains(t, printedBy(t, dir, "stdout0"), `"finish_reason":"length"`)
	require.Empty(t, printedBy(t, dir, "stdout1"))
	for _, rank := range []string{"0", "1"} {
		require.Empty(t, printedBy(t, dir, "stderr"+rank))
		require.FileExists(t, filepath.Join(dir, "finalized"+rank))
	}

	// So it is where one rank's engine cannot be opened: the job fails, and nobody waits for ever.
	c, dir = underMpirun(t, append(nativetest.StandIn(t, "L4", "L4"), "TRTGO_STANDIN_SCRIPT=throw=Executor::Executor#1:range"), 2,
		"run", "--engine_dir", engine, "--max_output_len", "4", "--input_text", "a")
	require.Error(t, c.Run())
	require.Equal(t, 1, c.ProcessState.ExitCode())
	require.Contains(t, printedBy(t, dir, "stderr0")+printedBy(t, dir, "stderr1"), "opening it failed: TensorRT-LLM cannot open the engine")

	// A leader whose command fails after the engine was opened ends the others too.
	c, dir = underMpirun(t, nativetest.StandIn(t, "L4", "L4"), 2, "run", "--engine_dir", engine, "--max_output_len", "4", "--input_file", "none.txt")
	require.Error(t, c.Run())
	require.Equal(t, 1, c.ProcessState.ExitCode())
	require.Contains(t, printedBy(t, dir, "stderr0"), "none.txt")
	require.Empty(t, printedBy(t, dir, "stdout1"))
	requireFinalized(t, dir)

	// Three processes for two ranks: each says so.
	c, dir = underMpirun(t, nativetest.StandIn(t, "L4", "L4", "L4"), 3, "run", "--engine_dir", engine, "--max_output_len", "4", "--input_text", "a")
	require.Error(t, c.Run())
	require.Equal(t, 2, c.ProcessState.ExitCode())
	require.Contains(t, printedBy(t, dir, "stderr0"), "OMPI_COMM_WORLD_SIZE is 3: start it by mpirun -n 2 trtgo …")
}

// Ctrl-C: the leader prints what there is, all processes end with 130.
func TestNativeInterrupted(t *testing.T) {
	env := append(nativetest.StandIn(t, "L4", "L4"), "TRTGO_STANDIN_SCRIPT=step_us=20000")
	engine := nativeEngine(t, 2, nil)
	c, dir := underMpirun(t, env, 2, "run", "--engine_dir", engine, "--max_output_len", "300", "--input_text", "a", "--end_id", "-1", "--streaming")
	require.NoError(t, c.Start())
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "stdout0"))
		return err == nil && strings.Contains(string(text), "Output [Text 0 Beam 0]") && loading(dir, 1)
	}, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.Error(t, c.Wait())
	require.Equal(t, 130, c.ProcessState.ExitCode(), "%s%s", printedBy(t, dir, "stderr0"), printedBy(t, dir, "stderr1"))
	require.Empty(t, printedBy(t, dir, "stdout1"))
	for _, rank := range []string{"0", "1"} {
		require.Equal(t, "trtgo: interrupted\n", printedBy(t, dir, "stderr"+rank))
	}
	requireFinalized(t, dir)
}

// A constructor that never returns: the first Ctrl-C ends the command and tells what was waited for.
func TestNativeInterruptedOpening(t *testing.T) {
	env := append(nativetest.StandIn(t, "L4"), "TRTGO_STANDIN_SCRIPT=hang=constructor", "SLURM_JOB_ID=12")
	engine := nativeEngine(t, 1, nil)
	c, stdout, stderr := nativeProcess(t, env, "run", "--engine_dir", engine, "--max_output_len", "4", "--input_text", "a", "--log_level", "debug")
	require.NoError(t, c.Start())
	require.Eventually(t, func() bool { // from then on it is being opened
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", c.Process.Pid))
		return err == nil && strings.Contains(string(maps), "libtensorrt_llm.so")
	}, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, c.Process.Signal(os.Interrupt))
	require.Error(t, c.Wait())
	require.Equal(t, 130, c.ProcessState.ExitCode(), stderr)
	require.Empty(t, stdout.String())
	require.Contains(t, stderr.String(), "MPI may be waiting for processes that were not started (the environment has SLURM_JOB_ID=12)")
	require.True(t, strings.HasSuffix(stderr.String(), "trtgo: interrupted\n"), stderr)
}

// A step that never ends: the engine does not close after Ctrl-C, and a second one ends the process.
func TestNativeInterruptedTwice(t *testing.T) {
	env := append(nativetest.StandIn(t, "L4"), "TRTGO_STANDIN_SCRIPT=hang=step#5")
	engine := nativeEngine(t, 1, nil)
	process, _, stderr := nativeProcess(t, env, "run", "--engine_dir", engine, "--max_output_len", "40", "--input_text", "a", "--end_id", "-1", "--streaming")
	process.Stdout = nil
	stdout, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	_, err = bufio.NewReader(stdout).ReadString('\n') // the prompt: the engine is open, and soon hangs
	require.NoError(t, err)
	require.NoError(t, process.Process.Signal(os.Interrupt))
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()
	for {
		select {
		case err := <-ended:
			require.Error(t, err)
			require.Equal(t, 130, process.ProcessState.ExitCode(), stderr)
			return
		case <-time.After(200 * time.Millisecond): // the first one may not have been noticed
			_ = process.Process.Signal(os.Interrupt)
		}
	}
}

// doctor recognises the executor's libraries, and what loading them shows.
func TestNativeDoctor(t *testing.T) {
	env := nativetest.StandIn(t, "L4")
	program := loader(t)[0]
	var out, stderr bytes.Buffer
	c := exec.Command(program, "doctor", "--load", "--json", "--engine_dir", nativeEngine(t, 2, nil))
	c.Env, c.Stdout, c.Stderr = env, &out, &stderr
	require.Error(t, c.Run(), "there is no driver")
	require.Equal(t, exitFailed, c.ProcessState.ExitCode(), &stderr)
	var report doctor.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &report), &stderr)
	require.Equal(t, "tensorrt-llm", report.Backend)
	require.NotNil(t, report.Loaded)
	require.Empty(t, report.Loaded.Error+report.Loaded.Crash)
	require.Equal(t, "1.2.1", report.Loaded.TensorRTLLM)
	require.Equal(t, "1.2.1", report.Loaded.TensorRTLLMHeaders)
	require.Equal(t, []doctor.GPU{{Name: "L4", ComputeCapability: "8.9", Memory: 1000000000}}, report.Loaded.GPUs)
	for _, p := range report.Problems {
		require.NotContains(t, p.Text, "functions that run engines", "the stand-in has them all")
		require.NotContains(t, p.Text, "runs none", "the library can run engines")
	}
}

// The evaluations work on an engine for TensorRT-LLM that gives context logits; what another one lacks is named.
func TestNativeEvaluations(t *testing.T) {
	env := nativetest.StandIn(t, "L4")
	engine := nativeEngine(t, 1, nil)
	dir := t.TempDir()
	text := filepath.Join(dir, "text.txt")
	require.NoError(t, os.WriteFile(text, []byte("The river rose in the night. The ferry waited."), 0o600))
	perplexity := []string{"eval", "perplexity", text, "--max_length", "16", "--stride", "8", "--json", "--engine_dir"}
	first := runNative(t, env, append(perplexity, engine)...)
	require.Zero(t, first.status, first.stderr)
	require.Regexp(t, `^\{"file":".*text.txt","perplexity":[0-9.e+]+,.*\}\n$`, first.stdout)
	require.Equal(t, first.stdout, runNative(t, env, append(perplexity, engine, "--no-kv_cache_enable_block_reuse")...).stdout)

	for _, split := range []string{"dev", "test"} {
		path := filepath.Join(dir, "mmlu", split, "anatomy_"+split+".csv")
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte("Leg?,femur,ulna,rib,jaw,A\n"), 0o600))
	}
	questions := []string{"eval", "mmlu", "--data_dir", filepath.Join(dir, "mmlu"), "--ntrain", "1", "--engine_dir"}
	r := runNative(t, env, append(questions, engine)...)
	require.Zero(t, r.status, r.stderr)
	require.Regexp(t, `(?s)^Average accuracy .*\nMMLU weighted average accuracy: [0-9.]+\n.*MMLU log-likelihood accuracy: `, r.stdout)

	r = runNative(t, env, "eval", "compare", engine, engine, text, "--max_length", "16")
	require.Equal(t, 1, r.status)
	require.Contains(t, r.stderr, "are both for TensorRT-LLM, of which a process runs one engine at a time: compare each with an engine for the CPU")

	without := nativeEngine(t, 1, func(c *engineconfig.Config) { c.Build.GatherContextLogits = false })
	r = runNative(t, env, append(perplexity, without)...)
	require.Equal(t, 1, r.status)
	require.Contains(t, r.stderr, "prompt log-probs are asked for, which this engine does not give: build the engine with gather_context_logits")
	r = runNative(t, env, append(questions, without, "--method", "generate")...)
	require.Zero(t, r.status, r.stderr)
}
