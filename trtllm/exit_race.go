//go:build race

package trtllm

// exitEndsMPI: with the race detector a process that ends with status 0 runs what C's atexit was given (__tsan_fini), and
// TensorRT-LLM gives it the end of MPI, which must not come twice. With another status MPI is not ended there: mpirun
// takes that for a failure, which it is.
const exitEndsMPI = true
