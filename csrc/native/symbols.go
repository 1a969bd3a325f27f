package native

import (
	_ "embed" // the list
	"strings"
)

//go:embed executor_symbols.txt
var executorSymbols string

// ExecutorSymbols are the functions of TensorRT-LLM, by their names in its library, that the executor half of
// libtrtgo_tensorrt.so calls: a library without one of them is of another release.
func ExecutorSymbols() []string { return strings.Fields(executorSymbols) }
