//go:build race

package main

// raceDetector: it runs C's atexit, which ends MPI in the place of trtllm.Finalize, at exit with status 0 only.
const raceDetector = true
