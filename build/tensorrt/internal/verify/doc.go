// Package verify has the tests that show networks to the real compiler of TensorRT-RTX,
// which runs without a GPU: every layer's dimensions and types must be those of our inference,
// whole networks must build, and malformed ones must be refused by both. It checks legality, not
// numbers: those are package evaluator's.
//
// scripts/verify_tensorrt.sh fetches the compiler, builds the shim and runs the tests, which skip
// without it:
//
//	TRTGO_RTX_COMPILER        path of libtensorrt_rtx.so.1
//	TRTGO_RTX_SHIM            path of libtrtgo_rtx.so
//	TRTGO_REQUIRE_TENSORRT=1  fail instead of skipping
//	TRTGO_VERIFY_ALL=1        all combinations, not only enough that every pair of choices occurs
package verify
