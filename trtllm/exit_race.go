//go:build race

package trtllm

// exitEndsMPI: with the race detector the end of the process runs what C's atexit was given (__tsan_fini), and
// TensorRT-LLM gives it the end of MPI, which must not come twice.
const exitEndsMPI = true
