//go:build cgo && linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/doctor"
	"github.com/trtgo/trtgo/internal/nativetest"
)

// loader is the command of doctor --load, as a test can start it.
func loader(t *testing.T) []string {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	named := filepath.Join(t.TempDir(), "trtgo") // the name makes TestMain run main
	text, err := os.ReadFile(program)            // a link would lead back to the test's name
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(named, text, 0o700))
	return []string{named, doctorLoaderName}
}

// constructor compiles a library that does something when it is loaded.
func constructor(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	source, library := filepath.Join(dir, "source.c"), filepath.Join(dir, "library.so")
	require.NoError(t, os.WriteFile(source, []byte("#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n__attribute__((constructor)) static void load(void) { "+text+" }"), 0o600))
	out, err := exec.Command("cc", "-shared", "-fPIC", "-o", library, source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return library
}

// Libraries are loaded by another process: what is wrong with them is told, and a crash or a hang of it is a finding.
func TestDoctorLoader(t *testing.T) {
	command := loader(t)
	load := func(library string, patience time.Duration) doctor.Loaded {
		t.Setenv("TRTGO_NATIVE_LIB", library)
		return loadElsewhere(t.Context(), command, patience)
	}
	fake := nativetest.Library(t)
	l := load(fake, time.Minute)
	require.Empty(t, l.Error+l.Crash)
	require.Equal(t, fake, l.Library)
	require.Equal(t, "10.14.1", l.TensorRT)
	require.Equal(t, []string{"1.2.1", "1.2.1"}, []string{l.TensorRTLLM, l.TensorRTLLMHeaders})
	require.Len(t, l.PluginDifferences, 8)
	require.Equal(t, `plugin GPTAttention: getCreator: no library registered plugin GPTAttention version 1 in namespace "tensorrt_llm"`, l.PluginDifferences[0])
	require.Contains(t, l.PluginDifferences[1], "the library's plugin Gemm has no field type_id")

	require.Contains(t, load("/none", time.Minute).Error, "TRTGO_NATIVE_LIB names a library that is not there")
	l = load(constructor(t, `fputs("it went wrong\n", stderr); abort();`), time.Minute)
	require.Contains(t, l.Crash, "exit status 2, its last words: SIGABRT: abort")
	require.Contains(t, load(constructor(t, `puts("no JSON"); fflush(stdout);`), time.Minute).Error, "has no TRTGO_ABI_1", "what libraries print is no answer")
	require.Equal(t, "it did not end within 300ms", load(constructor(t, "sleep(60);"), 300*time.Millisecond).Crash)
	l = loadElsewhere(t.Context(), []string{"sh", "-c", "echo one >&2; echo two >&2; exit 3"}, time.Minute)
	require.Equal(t, "exit status 3, its last words: two", l.Crash)
	require.Contains(t, loadElsewhere(t.Context(), []string{"sh", "-c", "echo '{'"}, time.Minute).Crash, "it answers what cannot be read")
	require.Contains(t, loadElsewhere(t.Context(), []string{"/none"}, time.Minute).Crash, "/none")
}

// doctor --load shows what was found, on a machine without a GPU too.
func TestDoctorLoad(t *testing.T) {
	program := loader(t)[0]
	t.Setenv("TRTGO_NATIVE_LIB", constructor(t, "abort();"))
	var out bytes.Buffer
	c := exec.Command(program, "doctor", "--load", "--json", "--backend", "tensorrt-llm")
	c.Stdout = &out
	require.Error(t, c.Run())
	require.Equal(t, exitFailed, c.ProcessState.ExitCode())
	var report doctor.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &report))
	require.Contains(t, report.Loaded.Crash, "SIGABRT: abort")
	require.Contains(t, out.String(), "a process that loads TensorRT-LLM's libraries does not come to an end by itself (exit status 2, its last words: SIGABRT: abort)")

	t.Setenv("TRTGO_NATIVE_LIB", nativetest.Library(t))
	text, err := exec.Command(program, "doctor", "--load").Output()
	require.NoError(t, err, "%s", text) // the CPU backend works
	require.Regexp(t, `(?m)^loaded +TensorRT 10.14.1, TensorRT-LLM 1.2.1`, string(text))
	require.Equal(t, 1, strings.Count(string(text), "8 plugins are not as release 1.2.1 has them: plugin GPTAttention: "))
}
