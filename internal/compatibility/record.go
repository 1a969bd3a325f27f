package compatibility

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Method is how something was shown.
type Method struct {
	name   string // of the file in testdata
	Letter string // in the tables
	Means  string
}

// The methods, the strongest first.
var (
	Executed = Method{"executed", "E", "engines were executed and gave the logits of transformers (of its dequantised weights where they are quantised)"}
	Numbers  = Method{"numbers", "N", "the recorded layers, plugins included, computed in Go give the logits of transformers (of its dequantised weights where they are quantised)"}
	Compiler = Method{"compiler", "C", "the compiler of TensorRT-RTX 1.7.1 agrees with our types and shapes layer by layer and builds the network of a rank, for TensorRT-LLM cut at its plugins; on every change"}
	Longer   = Method{"longer", "c", "the same in the longer test (`TRTGO_VERIFY_ALL=1`), which is run by hand"}
	StandIn  = Method{"standin", "S", "a stand-in for libnvinfer records the calls that the shim makes, as golden files have them"}
	Methods  = []Method{Executed, Numbers, Compiler, Longer, StandIn}
)

// Record collects what the tests of a package show by one method. Its methods may be called
// by several goroutines.
type Record struct {
	method Method
	mu     sync.Mutex
	lines  map[string]bool
}

// NewRecord returns an empty record.
func NewRecord(m Method) *Record { return &Record{method: m, lines: map[string]bool{}} }

// Passed adds an engine when the test has passed.
func (r *Record) Passed(t testing.TB, e Engine) {
	t.Helper()
	if e.Family == "" {
		t.Fatalf("compatibility: an engine of no family: %+v", e)
	}
	t.Cleanup(func() {
		if !t.Failed() && !t.Skipped() {
			r.Shown(e)
		}
	})
}

// Shown adds an engine.
func (r *Record) Shown(e Engine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range e.lines() {
		r.lines[line] = true
	}
}

// Check compares the record with the file when the test has passed, which shows all that the
// file says by itself.
func (r *Record) Check(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() || t.Skipped() {
			return
		}
		if err := r.compare(); err != nil {
			t.Error(err)
		}
	})
}

// updating is what the environment asks for.
func updating() bool { return os.Getenv("TRTGO_UPDATE_COMPATIBILITY") == "1" }

// Finish gives the exit status of a package's tests, whose own is code: where all have run
// and passed, they must have shown what the file says.
func (r *Record) Finish(code int) int {
	if code != 0 || !complete() {
		return code
	}
	if err := r.compare(); err != nil {
		fmt.Fprintln(os.Stderr, "compatibility:", err)
		return 1
	}
	return 0
}

// complete tells whether all tests of the package have run.
func complete() bool {
	for name, whole := range map[string]string{"test.run": "", "test.skip": "", "test.short": "false", "test.fuzz": "", "test.list": ""} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != whole {
			return false
		}
	}
	return true
}

func (r *Record) compare() error {
	path, err := file(r.method)
	if err != nil {
		return err
	}
	r.mu.Lock()
	got := slices.Sorted(maps.Keys(r.lines))
	r.mu.Unlock()
	if len(got) == 0 && os.Getenv("TRTGO_REQUIRE_TENSORRT") != "1" {
		return nil // all were skipped
	}
	if updating() {
		if err := os.WriteFile(path, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			return err
		}
		return updateDocument()
	}
	want, err := read(path)
	if err != nil {
		return err
	}
	var problems []string
	for _, line := range got {
		if !want[line] {
			problems = append(problems, "shown, but not in the file: "+line)
		}
		delete(want, line)
	}
	for _, line := range slices.Sorted(maps.Keys(want)) {
		problems = append(problems, "in the file, but no test showed it: "+line)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s differs from what the tests have shown; with TRTGO_UPDATE_COMPATIBILITY=1 they write it, and docs/compatibility.md:\n%s", path, strings.Join(problems, "\n"))
	}
	return nil
}

// read gives the lines of a file; one that does not exist has none.
func read(path string) (map[string]bool, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	lines := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		lines[strings.TrimSuffix(line, "\n")] = true
	}
	return lines, nil
}

func file(m Method) (string, error) {
	root, err := Root()
	return filepath.Join(root, "internal/compatibility/testdata", m.name+".txt"), err
}

// Root is the directory of the module that the working directory belongs to.
func Root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
	return "", err
}
