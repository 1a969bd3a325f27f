//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/internal/benchmark"
	"github.com/trtgo/trtgo/scripts/internal/benchrun"
)

const torchVersion = "2.9.1"

var pythonPackages = []string{"transformers==5.23.0", "tokenizers==0.23.3", "gguf==0.19.0", "numpy==2.4.6", "safetensors==0.8.0"}

// transformers is an installation of it, and a directory with its model.
type transformers struct {
	dir    string
	python string // "" until install
}

func (t *transformers) log(name string) string {
	return filepath.Join(t.dir, "logs", "transformers-"+name+".log")
}

func (t *transformers) hf() string { return filepath.Join(t.dir, "models/hf") }

// install makes a virtual environment, unless the caller has named a Python.
func (t *transformers) install(ctx context.Context) error {
	if t.python != "" {
		return benchrun.Run(ctx, t.log("import"), t.python, "-c", "import torch, transformers, gguf")
	}
	venv := filepath.Join(t.dir, "venv")
	t.python = filepath.Join(venv, "bin/python")
	complete := filepath.Join(venv, "complete")
	wanted := strings.Join(append(pythonPackages, torchVersion), "\n")
	if installed, err := os.ReadFile(complete); err == nil && string(installed) == wanted {
		return nil
	}
	if err := benchrun.Need("installing transformers", "python3"); err != nil {
		return err
	}
	say("installing torch %s and transformers, some minutes", torchVersion)
	if err := os.RemoveAll(venv); err != nil {
		return err
	}
	if err := benchrun.Run(ctx, t.log("venv"), "python3", "-m", "venv", venv); err != nil {
		return fmt.Errorf("%w; Debian has venv in the package python3-venv", err)
	}
	pip := func(log string, args ...string) error {
		return benchrun.Run(ctx, t.log(log), t.python, append([]string{"-m", "pip", "install", "--disable-pip-version-check"}, args...)...)
	}
	// The wheels without CUDA have an index of their own, which not all networks reach.
	if err := pip("torch-cpu", "--retries", "0", "torch=="+torchVersion+"+cpu", "--index-url", "https://download.pytorch.org/whl/cpu"); err != nil {
		if ctx.Err() != nil {
			return err
		}
		say("no torch without CUDA's libraries was to be had (%v); installing the one with them, 7 GB", err)
		if err := pip("torch", "torch=="+torchVersion); err != nil {
			return err
		}
	}
	if err := pip("packages", pythonPackages...); err != nil {
		return err
	}
	return os.WriteFile(complete, []byte(wanted), 0o644)
}

// model writes the values of the GGUF file as a Hugging Face directory.
func (t *transformers) model(ctx context.Context, gguf string) error {
	return makeFrom(gguf, t.hf(), func(part string) error {
		return benchrun.Run(ctx, t.log("model"), t.python, "scripts/benchpeers/hf_directory.py", gguf, part)
	})
}

// loop runs the loop in Python: times prompts, and tokens decoded after the last.
func (t *transformers) loop(ctx context.Context, log string, threads, prompt, times, tokens int) (timing, error) {
	args := []string{"scripts/benchpeers/transformers_loop.py", t.hf()}
	for _, n := range []int{threads, prompt, times, tokens} {
		args = append(args, strconv.Itoa(n))
	}
	text, err := benchrun.Output(ctx, t.log(log), t.python, args...)
	if err != nil {
		return timing{}, err
	}
	return parseTiming(text)
}

// timing is what the loop prints.
type timing struct {
	Prefill float64 `json:"prefill_tokens_per_second"`
	Decode  float64 `json:"decode_tokens_per_second"` // 0 where nothing was decoded
	Details string  `json:"details"`
}

func parseTiming(text []byte) (t timing, err error) {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &t); err != nil {
		return t, fmt.Errorf("transformers' loop: %w: %q", err, text)
	}
	if t.Prefill <= 0 {
		return t, fmt.Errorf("transformers' loop measured nothing: %q", text)
	}
	return t, nil
}

func (t *transformers) contestant() *contestant {
	return &contestant{name: "transformers bfloat16", path: filepath.Join(t.hf(), "model.safetensors"), measure: func(ctx context.Context, threads int, phase benchmark.Phase) (sample, error) {
		log := fmt.Sprintf("%s-%d", phase, threads)
		if phase == benchmark.Prefill {
			m, err := t.loop(ctx, log, threads, promptTokens, prompts, 0)
			return sample{rate: m.Prefill}, err
		}
		m, err := t.loop(ctx, log, threads, decodeBegin, 1, decodedTokens)
		if err == nil && m.Decode <= 0 {
			err = fmt.Errorf("transformers decoded nothing; its log is %s", t.log(log))
		}
		return sample{rate: m.Decode}, err
	}}
}

// version tells what the loop runs on.
func (t *transformers) version(ctx context.Context) (string, error) {
	m, err := t.loop(ctx, "version", 1, 1, 1, 0)
	return m.Details, err
}
