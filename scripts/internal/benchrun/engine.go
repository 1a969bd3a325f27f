package benchrun

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/trtgo/trtgo/internal/benchmark"
)

// Trtgo is the command with a model, and where its engines and logs are kept.
type Trtgo struct {
	Path string // of the command
	GGUF string // the model
	Dir  string
}

// Weights are how an engine stores the model's.
type Weights struct {
	Name   string   // of the engine's directory
	Title  string   // for people
	Export []string // arguments of the commands
	Build  []string
}

// WithHead8 has the head in 8 bits too, as other programs' files of 8 and 4 bits have it.
func (w Weights) WithHead8() Weights {
	w.Name += "-head8"
	w.Title += ", head in 8 bits"
	w.Build = append(w.Build[:len(w.Build):len(w.Build)], "--lm_head_dtype", "int8")
	return w
}

// The weights that engines are measured with.
var (
	BFloat16 = Weights{Name: "bf16", Title: "bfloat16"}
	Int8     = Weights{Name: "int8", Title: "`int8_wo`", Export: []string{"--qformat", "int8_wo"}}
	Int4     = Weights{Name: "int4", Title: "`int4_wo --group_size 32`", Export: []string{"--qformat", "int4_wo", "--group_size", "32"}}
)

const (
	maxBatchSize = "8"
	maxSeqLen    = "2048"
)

// Engine exports the model with these weights and builds an engine of it, unless the
// same command has done so before, and gives its directory.
func (t *Trtgo) Engine(ctx context.Context, w Weights) (string, error) {
	dir := filepath.Join(t.Dir, "engines", w.Name)
	key, err := t.key(w)
	if err != nil {
		return "", err
	}
	if built, err := os.ReadFile(dir + ".key"); err == nil && string(built) == key {
		return dir, nil
	}
	checkpoint := dir + ".checkpoint"
	defer os.RemoveAll(checkpoint)
	export := append([]string{"export", t.GGUF, "--output_dir", checkpoint, "--dtype", "bfloat16"}, w.Export...)
	if err := Run(ctx, t.log(w.Name+"-export"), t.Path, export...); err != nil {
		return "", err
	}
	build := append([]string{"build", "--backend", "cpu", "--checkpoint_dir", checkpoint, "--output_dir", dir,
		"--max_batch_size", maxBatchSize, "--max_input_len", maxSeqLen, "--max_seq_len", maxSeqLen}, w.Build...)
	if err := Run(ctx, t.log(w.Name+"-build"), t.Path, build...); err != nil {
		return "", err
	}
	return dir, os.WriteFile(dir+".key", []byte(key), 0o644)
}

// key tells of what an engine was made.
func (t *Trtgo) key(w Weights) (string, error) {
	model, err := os.Stat(t.GGUF)
	if err != nil {
		return "", fmt.Errorf("%w; `make model` fetches it", err)
	}
	command, err := os.Open(t.Path)
	if err != nil {
		return "", fmt.Errorf("%w; `make build` makes it", err)
	}
	defer command.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, command); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x %d %v %q %q\n", sum.Sum(nil), model.Size(), model.ModTime(), w.Export, w.Build), nil
}

func (t *Trtgo) log(name string) string { return filepath.Join(t.Dir, "logs", "trtgo-"+name+".log") }

// Bench runs `trtgo bench` with these arguments; name is that of its log.
func (t *Trtgo) Bench(ctx context.Context, name string, args ...string) (*benchmark.Report, error) {
	text, err := Output(ctx, t.log(name), t.Path, append([]string{"bench", "--json", "--quiet"}, args...)...)
	if err != nil {
		return nil, err
	}
	return parseReport(text)
}

// parseReport reads what bench prints with --json.
func parseReport(text []byte) (*benchmark.Report, error) {
	r := &benchmark.Report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("trtgo bench --json: %w: %q", err, text)
	}
	if len(r.Cases) == 0 {
		return nil, fmt.Errorf("trtgo bench --json measured nothing: %q", text)
	}
	for i := range r.Cases {
		if c := &r.Cases[i]; c.MeanSeconds <= 0 || c.TokensPerSecond.Least <= 0 {
			return nil, fmt.Errorf("trtgo bench --json tells no times of %s: is it of another version? `make build` makes it anew", c.Label())
		}
	}
	return r, nil
}

// Find gives a case of a report.
func Find(r *benchmark.Report, phase benchmark.Phase, threads, batch, context int) (*benchmark.Result, error) {
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Phase == phase && c.Threads == threads && c.BatchSize == batch && c.Context == context {
			return c, nil
		}
	}
	return nil, fmt.Errorf("trtgo bench told nothing of %s of %d sequences with %d threads and a context of %d", phase, batch, threads, context)
}

// Version is that of this source.
func Version(ctx context.Context) (string, error) {
	text, err := exec.CommandContext(ctx, "git", "describe", "--always").Output()
	if err != nil {
		return "", fmt.Errorf("git describe: %w", err)
	}
	return "trtgo " + strings.TrimSpace(string(text)), nil
}
