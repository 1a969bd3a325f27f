package trtllm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const workerName = "executorWorker"

// imageWorker is where TensorRT-LLM's image has it.
const imageWorker = "/app/tensorrt_llm/bin/" + workerName

// findWorker finds TensorRT-LLM's program for one rank: what is named, else beside library, which is the TensorRT-LLM
// that is loaded, in its image's place, or in PATH.
func findWorker(named string, getenv func(string) string, library string) (string, error) {
	if named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("%w: the worker %s of the orchestrator cannot be run (%w): name TensorRT-LLM's %s", ErrInvalidOption, named, err, workerName)
		}
		return filepath.Abs(path)
	}
	var places []string
	if library != "" {
		libs := filepath.Dir(library)
		places = append(places, filepath.Join(filepath.Dir(libs), "bin"), libs)
	}
	places = append(places, filepath.Dir(imageWorker))
	for _, dir := range append(places[:len(places):len(places)], filepath.SplitList(getenv("PATH"))...) {
		path := filepath.Join(dir, workerName)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return filepath.Abs(path)
		}
	}
	return "", noBackend("an orchestrator starts TensorRT-LLM's program %s, which is not in %s, nor in PATH: name it as the orchestrator's worker (--executor_worker), or start this by mpirun instead",
		workerName, strings.Join(places, ", "))
}

// loadedFrom gives the path of a library that this process has loaded, by the beginning of its file's name; "" when it is
// not known. Linux tells of each mapped file in a line that ends with its path.
func loadedFrom(name string) string {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if i := strings.IndexByte(line, '/'); i >= 0 {
			if path := strings.TrimSuffix(line[i:], "\n"); strings.HasPrefix(filepath.Base(path), name) {
				return path
			}
		}
	}
	return ""
}
