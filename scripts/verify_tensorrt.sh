#!/usr/bin/env bash
# Checks the TensorRT network and its shim without a GPU: builds the shim against the headers of TensorRT-RTX 1.7
# and TensorRT 11.4, runs its driver over a stand-in for TensorRT under sanitizers, and has the real compiler of
# TensorRT-RTX check and build networks of every kind. `all` builds every combination of choices, which takes
# some fifteen minutes.
#
# What it needs comes from public registries (scripts/fetch_tensorrt.sh). Where they do not have it, this fails;
# with TRTGO_SKIP_TENSORRT=1 it says so and ends well, but never in CI.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/out/tools/tensorrt
work=$PWD/out/verify-tensorrt
export PATH=$PWD/out/tools/go/bin:$PATH

command -v cmake >/dev/null || { echo "verify_tensorrt: cmake is missing: scripts/setup.sh ci installs it" >&2; exit 1; }
if ! scripts/fetch_tensorrt.sh "$tools"; then
	echo "verify_tensorrt: TensorRT-RTX's compiler or the headers cannot be had: NOTHING OF TENSORRT WAS CHECKED" >&2
	if [ "${TRTGO_SKIP_TENSORRT:-}" = 1 ] && [ -z "${CI:-}" ]; then
		echo "verify_tensorrt: skipped, because TRTGO_SKIP_TENSORRT=1" >&2
		exit 0
	fi
	echo "verify_tensorrt: TRTGO_SKIP_TENSORRT=1 skips this check outside of CI" >&2
	exit 1
fi

jobs=$(nproc)
cmake -S . -B "$work/shim" -DCMAKE_BUILD_TYPE=Release \
	-DTRTGO_WERROR=ON -DTRTLLM_ROOT= -DTENSORRT_RTX_ROOT="$tools/headers/TRT-RTX-1.7" -DTENSORRT_ROOT="$tools/headers/TRT-Enterprise-11.4" >/dev/null
cmake --build "$work/shim" -j "$jobs" --target trtgo_rtx trtgo_tensorrt

# The stand-in twice: as the Go tests load it, and with the shim's driver under sanitizers.
standin() {
	cmake -S csrc/testing/nvinfer -B "$work/$1" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTRTGO_STANDIN_HEADERS="$tools/headers/TRT-Enterprise-11.4" \
		-DTRTGO_SANITIZE="$2" >/dev/null
}
standin plain OFF
cmake --build "$work/plain" -j "$jobs" --target nvinfer_standin nvinfer_plugin_standin
standin sanitized ON
cmake --build "$work/sanitized" -j "$jobs"
ctest --test-dir "$work/sanitized" -j "$jobs" --output-on-failure

export TRTGO_REQUIRE_TENSORRT=1
export TRTGO_RTX_COMPILER=$tools/libtensorrt_rtx.so.1
export TRTGO_NATIVE_LIB_RTX=$work/shim/libtrtgo_rtx.so
export TRTGO_NATIVE_LIB=$work/shim/libtrtgo_tensorrt.so
export TRTGO_NVINFER_STANDIN=$work/plain/libnvinfer_standin.so
export TRTGO_PLUGIN_STANDIN=$work/plain/libnvinfer_plugin_standin.so
timeout=10m
if [ "${1:-}" = all ]; then
	export TRTGO_VERIFY_ALL=1
	timeout=60m
fi
go test -count=1 -timeout "$timeout" ./csrc/native ./build/tensorrt/internal/verify
go test -count=1 -run TensorRT ./cmd/trtgo
