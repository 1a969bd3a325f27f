package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/compatibility"
	"github.com/trtgo/trtgo/internal/testmodel"
)

var update = flag.Bool("update", false, "write the golden calls of testdata/calls")

// TestTensorRTCalls runs testdata/calls over the stand-in for TensorRT of csrc/testing/nvinfer, which records every
// call. It needs what the script llm.txtar of [TestTensorRTScripts] needs; -update writes the goldens anew.
func TestTensorRTCalls(t *testing.T) {
	variables := map[string]string{
		"TRTGO_NVINFER_STANDIN": "TRTGO_TENSORRT_LIB", "TRTGO_PLUGIN_STANDIN": "TRTGO_TENSORRT_LLM_PLUGINS", "TRTGO_NATIVE_LIB": "TRTGO_NATIVE_LIB",
	}
	for name := range variables {
		if os.Getenv(name) != "" {
			continue
		}
		require.NotEqual(t, "1", os.Getenv("TRTGO_REQUIRE_TENSORRT"), "%s is not set", name)
		t.Skip(name + " is not set")
	}
	engines := compatibility.NewRecord(compatibility.StandIn)
	engines.Check(t)
	testscript.Run(t, testscript.Params{
		Files:               []string{"testdata/calls/calls.txtar"},
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for name, program := range variables {
				e.Setenv(program, os.Getenv(name))
			}
			e.Setenv("CUDA_VISIBLE_DEVICES", "") // the goldens are of no GPU
			e.Setenv("TRTGO_STANDIN_RECORD", filepath.Join(e.WorkDir, "calls"))
			for name, model := range map[string]string{"plain": "llama-gqa", "mistral": "mistral-headdim", "nemotron": "nemotron"} {
				if err := os.Rename(testmodel.Dir(t, model), filepath.Join(e.WorkDir, name)); err != nil {
					return err
				}
			}
			return os.Rename(testmodel.QuantisedDir(t, "llama-gqa.fp8"), filepath.Join(e.WorkDir, "fp8"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"recorded": func(ts *testscript.TestScript, neg bool, args []string) {
				recorded(ts, neg, args)
				e, err := compatibility.Built(ts.MkAbs(args[1]))
				ts.Check(err)
				engines.Shown(e)
			},
			"faults": faults,
		},
	})
}

// take reads the record and removes it. Everything that was made must be gone in the end.
func take(ts *testscript.TestScript) []byte {
	path := ts.MkAbs("calls")
	calls, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.Remove(path))
	return calls
}

// left tells how many of the stand-in's objects were alive at the end of a record.
func left(calls []byte) (int, error) {
	const mark = `{"destroyed":`
	i := bytes.LastIndex(calls, []byte(mark))
	if i < 0 {
		return 0, nil // nothing was made
	}
	var last struct{ Alive int }
	return last.Alive, json.Unmarshal(bytes.TrimSpace(calls[i:]), &last)
}

// versions finds the numbers of the headers' version: the calls are the same with those of TensorRT 10.14 and 11.
var versions = regexp.MustCompile(`("getInferLibVersion","gives":|"createInferBuilder","version":)\d+`)

func recorded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: recorded NAME ENGINE")
	}
	calls := versions.ReplaceAll(take(ts), []byte("$1"))
	alive, err := left(calls)
	ts.Check(err)
	if alive != 0 {
		ts.Fatalf("%d objects of TensorRT are left behind", alive)
	}
	path := filepath.Join("testdata/calls", args[0]+".jsonl.gz")
	if *update {
		var packed bytes.Buffer
		w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		ts.Check(err)
		_, err = w.Write(calls)
		ts.Check(err)
		ts.Check(w.Close())
		ts.Check(os.WriteFile(path, packed.Bytes(), 0o644))
	}
	f, err := os.Open(path)
	ts.Check(err)
	defer f.Close()
	r, err := gzip.NewReader(f)
	ts.Check(err)
	golden, err := io.ReadAll(r)
	ts.Check(err)
	got, want := strings.Split(string(calls), "\n"), strings.Split(string(golden), "\n")
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			ts.Fatalf("call %d of %s is\n%s\nwant\n%s", i+1, args[0], got[i], want[i])
		}
	}
	if len(got) != len(want) {
		ts.Fatalf("%d calls, %s has %d", len(got), args[0], len(want))
	}
}

// silent are functions that give nothing, so that only their logs tell of a failure.
var silent = regexp.MustCompile(`^(ITensor|ILayer|INetworkDefinition|I\w+Layer)::(set|mark)|^IBuilderConfig::set(Flag|Prof|Progress)`)

// oneError is what the command says of a failure.
var oneError = regexp.MustCompile(`^trtgo: [^\n]+\n$`)

// faults runs a command once for each fault of the calls that the last one made: it must fail with one sentence and leave
// nothing, in memory or on disk.
func faults(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: faults PROGRAM … DIRECTORY")
	}
	output := args[len(args)-1]
	list, err := chosenFaults(take(ts))
	ts.Check(err)
	if len(list) < 100 {
		ts.Fatalf("only %d faults", len(list))
	}
	defer ts.Setenv("TRTGO_STANDIN_FAULT", "")
	for _, fault := range list {
		ts.Setenv("TRTGO_STANDIN_FAULT", fault)
		if ts.Exec(args[0], args[1:]...) == nil {
			ts.Fatalf("%s: the build succeeds", fault)
		}
		if said := ts.ReadFile("stderr"); !oneError.MatchString(said) {
			ts.Fatalf("%s: no single error: %s", fault, said)
		}
		calls := take(ts)
		if !bytes.Contains(calls, []byte(`"fault":`)) {
			ts.Fatalf("%s: it did not happen", fault)
		}
		alive, err := left(calls)
		ts.Check(err)
		if alive != 0 {
			ts.Fatalf("%s: %d objects of TensorRT are left behind", fault, alive)
		}
		remains, err := filepath.Glob(ts.MkAbs("*" + output + "*"))
		ts.Check(err)
		hidden, err := filepath.Glob(ts.MkAbs(".*" + output + "*"))
		ts.Check(err)
		if remains = append(remains, hidden...); len(remains) > 0 {
			ts.Fatalf("%s: %v is left behind", fault, remains)
		}
	}
}

// chosenFaults are those of the first and the last call of each function.
func chosenFaults(calls []byte) ([]string, error) {
	count := map[string]int{}
	var order []string
	for line := range bytes.Lines(calls) {
		var call struct{ Call string }
		if err := json.Unmarshal(line, &call); err != nil {
			return nil, err
		}
		if call.Call == "" {
			continue // an object's end
		}
		if count[call.Call]++; count[call.Call] == 1 {
			order = append(order, call.Call)
		}
	}
	var list []string
	for _, function := range order {
		kinds := []string{"bad", "logged"}
		if silent.MatchString(function) {
			kinds = kinds[1:]
		}
		for _, n := range slices.Compact([]int{1, count[function]}) {
			for _, kind := range kinds {
				list = append(list, fmt.Sprintf("%s#%d=%s", function, n, kind))
			}
		}
	}
	return list, nil
}
