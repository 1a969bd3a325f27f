#!/usr/bin/env bash
# Compiles libtrtgo_tensorrt.so of the source tree in the working directory into the directory given:
#   build_native.sh DIRECTORY
# In TensorRT-LLM's image CMake finds headers and libraries by itself. ROOT names another tree that is laid out as the image is.
set -euo pipefail
directory=${1:?usage: build_native.sh DIRECTORY}
root=${ROOT:-}
options=()
if [ -n "$root" ]; then
	tensorrt=$root/usr/local/tensorrt
	[ -d "$tensorrt" ] || tensorrt=$root/usr
	options=("-DTRTLLM_ROOT=$root/app/tensorrt_llm" "-DTENSORRT_ROOT=$tensorrt")
fi
export PATH=$PATH:/usr/local/cmake/bin # where the image keeps it, and names it to its own shells alone
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release "${options[@]}"
cmake --build "$build" -j "$(nproc)" --target trtgo_tensorrt
library=$build/libtrtgo_tensorrt.so
# Without TensorRT-LLM it would build engines and run none: in this image that is a mistake.
if ! readelf -d "$library" | grep -q 'NEEDED.*libtensorrt_llm\.so'; then
	echo "build_native: CMake found no TensorRT-LLM: its headers are to be in ${root:-}/app/tensorrt_llm/include" >&2
	exit 1
fi
mkdir -p "$directory"
install -m 755 "$library" "$directory/"
echo "build_native: $directory/libtrtgo_tensorrt.so"
