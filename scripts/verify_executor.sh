#!/usr/bin/env bash
# Checks what runs TensorRT-LLM's engines without TensorRT-LLM and a GPU: builds the production shim and a stand-in for
# TensorRT-LLM, plain and under sanitizers, runs the driver that leads the one over the other, and the Go tests over both.
#
#   scripts/verify_executor.sh          everything
#   scripts/verify_executor.sh plain    only the plain build; prints the variables for Go tests:
#
#       eval "$(scripts/verify_executor.sh plain)" && go test ./internal/nativeexecutor
#
#   TRTGO_EXECUTOR_STANDIN   a directory with libtensorrt_llm.so, libnvinfer_plugin_tensorrt_llm.so, libnvinfer.so.N,
#                            libmpi.so.40 and libcuda.so.1 of csrc/testing/tensorrt_llm, see standin.h there; tests skip
#                            without it, but fail where TRTGO_REQUIRE_EXECUTOR=1
#   TRTGO_NATIVE_LIB         the shim, linked to these
#
# It needs TensorRT's headers (scripts/fetch_tensorrt.sh); where these cannot be had, it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/out/tools/tensorrt
work=$PWD/out/verify-executor
export PATH=$PWD/out/tools/go/bin:$PATH

command -v cmake >/dev/null || { echo "verify_executor: cmake is missing: scripts/setup.sh ci installs it" >&2; exit 1; }
scripts/fetch_tensorrt.sh "$tools" >&2 || { echo "verify_executor: TensorRT's headers cannot be had: NOTHING WAS CHECKED" >&2; exit 1; }

jobs=$(nproc)
build() {
	cmake -S csrc/testing/tensorrt_llm -B "$work/$1" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTRTGO_SANITIZE="$2" \
		-DTRTGO_STANDIN_HEADERS="$tools/headers/TRT-Enterprise-11.4" >/dev/null
	cmake --build "$work/$1" -j "$jobs" >&2
}

build plain off
variables() {
	echo "export TRTGO_REQUIRE_EXECUTOR=1"
	echo "export TRTGO_EXECUTOR_STANDIN=$work/$1/lib"
	echo "export TRTGO_NATIVE_LIB=$work/$1/lib/libtrtgo_tensorrt.so"
}
if [ "${1:-}" = plain ]; then
	variables plain
	exit 0
fi

# As it is built for users, and against the list of what it needs, by which trtgo doctor looks at a library.
cmake -S . -B "$work/release" -DCMAKE_BUILD_TYPE=Release -DTRTGO_WERROR=ON "-DTRTLLM_ROOT=$PWD/csrc/testing/tensorrt_llm;$work/plain" \
	-DTENSORRT_ROOT="$tools/headers/TRT-Enterprise-11.4" >/dev/null
cmake --build "$work/release" -j "$jobs" --target trtgo_tensorrt
scripts/executor_symbols.sh "$work/release/libtrtgo_tensorrt.so" --check

eval "$(variables plain)"
go test -count=1 -timeout 10m ./csrc/native ./internal/nativeexecutor
go test -count=1 -timeout 10m -run Native ./trtllm ./cmd/trtgo

# C++ alone, and from Go, whose race detector does not see C++.
for kind in address thread; do
	build "$kind" "$kind"
	ctest --test-dir "$work/$kind" -j "$jobs" --timeout 300 --output-on-failure
	eval "$(variables "$kind")"
	scripts/sanitize.sh "$kind" -run Standin ./csrc/native ./internal/nativeexecutor
done
