//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/internal/benchmark"
	"github.com/trtgo/trtgo/scripts/internal/benchrun"
)

// The source package of these bindings carries llama.cpp's source.
const (
	llamaPackage = "llama-cpp-python==0.3.36"
	llamaCommit  = "0c1e570"
)

// llamaCpp is a build of llama.cpp and the models that it made.
type llamaCpp struct {
	dir  string
	jobs int
}

func (l *llamaCpp) program(name string) string { return filepath.Join(l.dir, "llama.cpp/bin", name) }

func (l *llamaCpp) log(name string) string {
	return filepath.Join(l.dir, "logs", "llama.cpp-"+name+".log")
}

// build fetches and builds what is missing.
func (l *llamaCpp) build(ctx context.Context) error {
	build, source := filepath.Join(l.dir, "llama.cpp"), filepath.Join(l.dir, "source")
	if exists(l.program("llama-bench")) && exists(l.program("llama-quantize")) {
		return nil
	}
	if err := benchrun.Need("building llama.cpp", "python3", "tar", "cmake", "c++", "make", "git"); err != nil {
		return err
	}
	say("building llama.cpp of %s, some minutes", llamaPackage)
	if err := errors.Join(os.RemoveAll(build), os.RemoveAll(source), os.MkdirAll(source, 0o755)); err != nil {
		return err
	}
	if err := benchrun.Run(ctx, l.log("download"), "python3", "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python",
		"--disable-pip-version-check", "-d", source, llamaPackage); err != nil {
		return err
	}
	archive, err := only(filepath.Join(source, "llama_cpp_python-*.tar.gz"))
	if err != nil {
		return err
	}
	if err := benchrun.Run(ctx, l.log("unpack"), "tar", "-xzf", archive, "-C", source); err != nil {
		return err
	}
	tree, err := only(filepath.Join(source, "llama_cpp_python-*/vendor/llama.cpp"))
	if err != nil {
		return err
	}
	// The commit is told, because git would find the one of the checkout around out/.
	if err := benchrun.Run(ctx, l.log("configure"), "cmake", "-G", "Unix Makefiles", "-S", tree, "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DGGML_OPENMP=ON",
		"-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_BUILD_APP=OFF",
		"-DLLAMA_BUILD_TOOLS=ON", "-DLLAMA_BUILD_COMMIT="+llamaCommit, "-DLLAMA_BUILD_NUMBER=1"); err != nil {
		return err
	}
	if err := benchrun.Run(ctx, l.log("build"), "cmake", "--build", build, "--target", "llama-bench", "llama-quantize", "-j", strconv.Itoa(l.jobs)); err != nil {
		return err
	}
	return os.RemoveAll(source)
}

// models makes the files that are compared, all from one.
func (l *llamaCpp) models(ctx context.Context, gguf string) error {
	for _, m := range [][2]string{{"BF16", gguf}, {"Q8_0", l.file("BF16")}, {"Q4_0", l.file("BF16")}} {
		if err := makeFrom(gguf, l.file(m[0]), func(part string) error {
			return benchrun.Run(ctx, l.log(m[0]), l.program("llama-quantize"), "--allow-requantize", m[1], part, m[0])
		}); err != nil {
			return err
		}
	}
	return nil
}

func (l *llamaCpp) file(precision string) string {
	return filepath.Join(l.dir, "models", precision+".gguf")
}

// contestant is llama-bench with a file.
func (l *llamaCpp) contestant(precision, path string) *contestant {
	return &contestant{name: "llama.cpp " + precision, path: path, measure: func(ctx context.Context, threads int, phase benchmark.Phase) (sample, error) {
		args := []string{"-m", path, "-t", strconv.Itoa(threads), "-o", "json"}
		if phase == benchmark.Prefill {
			args = append(args, "-p", strconv.Itoa(promptTokens), "-n", "0", "-r", strconv.Itoa(prompts))
		} else {
			args = append(args, "-p", "0", "-n", strconv.Itoa(decodedTokens), "-d", strconv.Itoa(decodeBegin), "-r", "1")
		}
		text, err := benchrun.Output(ctx, l.log(fmt.Sprintf("%s-%s-%d", precision, phase, threads)), l.program("llama-bench"), args...)
		if err != nil {
			return sample{}, err
		}
		rate, err := llamaRate(text, phase)
		return sample{rate: rate}, err
	}}
}

// llamaRate reads the tokens a second that llama-bench -o json prints: of all tokens
// over all of their time.
func llamaRate(text []byte, phase benchmark.Phase) (float64, error) {
	var list []struct {
		Prompt  int     `json:"n_prompt"`
		Decode  int     `json:"n_gen"`
		Average float64 `json:"avg_ns"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return 0, fmt.Errorf("llama-bench: %w: %q", err, text)
	}
	if len(list) != 1 || list[0].Average <= 0 {
		return 0, fmt.Errorf("llama-bench gave %d results, want one: %q", len(list), text)
	}
	tokens := list[0].Prompt
	if phase == benchmark.Decode {
		tokens = list[0].Decode
	}
	if tokens <= 0 {
		return 0, fmt.Errorf("llama-bench measured something else than %s: %q", phase, text)
	}
	return float64(tokens) / list[0].Average * 1e9, nil
}

// version tells what was built, and how.
func (l *llamaCpp) version(ctx context.Context) (string, error) {
	text, err := os.ReadFile(filepath.Join(l.dir, "llama.cpp/CMakeCache.txt"))
	if err != nil {
		return "", err
	}
	cache := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + `:[A-Z]+=(.*)$`).FindSubmatch(text)
		if m == nil {
			return "unknown"
		}
		return string(m[1])
	}
	compiler, err := benchrun.Output(ctx, l.log("compiler"), cache("CMAKE_CXX_COMPILER"), "--version")
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(compiler), "\n")
	return fmt.Sprintf("llama.cpp commit %s (in %s), %s with GGML_NATIVE=%s and GGML_OPENMP=%s by %s", cache("LLAMA_BUILD_COMMIT"), strings.Replace(llamaPackage, "==", " ", 1),
		cache("CMAKE_BUILD_TYPE"), cache("GGML_NATIVE"), cache("GGML_OPENMP"), first), nil
}

// makeFrom makes a file or a directory in a place of its own first, so that no half of it
// is found by a later run. One that is newer than its source is left alone.
func makeFrom(source, path string, write func(part string) error) error {
	from, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("%w; `make model` fetches it", err)
	}
	if made, err := os.Stat(path); err == nil && made.ModTime().After(from.ModTime()) {
		return nil
	}
	say("making %s", filepath.Base(path))
	part := filepath.Join(filepath.Dir(path), "part."+filepath.Base(path))
	if err := errors.Join(os.RemoveAll(part), os.RemoveAll(path), os.MkdirAll(filepath.Dir(path), 0o755)); err != nil {
		return err
	}
	if err := write(part); err != nil {
		return err
	}
	return os.Rename(part, path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// only gives the one path that a pattern finds.
func only(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%s: found %d, want one", pattern, len(found))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}
