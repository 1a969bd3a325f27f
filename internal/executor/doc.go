// Package executor holds the two doors of running an engine, and nothing else:
// [Executor], which takes requests and gives responses, and [Runner], which does
// one forward step for a ragged batch. Everything here is plain data that any
// room may import, csrc included.
//
// An executor is either TensorRT-LLM's own, or package inflight over a Runner.
// The contract that every executor keeps is written as tests in the
// sub-package executortest.
package executor
