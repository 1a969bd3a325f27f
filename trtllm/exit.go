//go:build !race

package trtllm

// exitEndsMPI: the end of a Go process runs nothing of C's atexit, with which TensorRT-LLM would end MPI.
const exitEndsMPI = false
