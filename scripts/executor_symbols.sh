#!/usr/bin/env bash
# Prints the symbols that libtrtgo_tensorrt.so needs of libtensorrt_llm.so, one in a line, sorted: what trtgo doctor
# looks for in the library that is there. csrc/native/executor_symbols.txt is its output:
#
#   scripts/executor_symbols.sh LIBRARY                  prints the list
#   scripts/executor_symbols.sh LIBRARY --check          fails where the file has another one
#
# LIBRARY was compiled with the declarations in csrc/testing/tensorrt_llm. Constructors of requests and configurations
# are left out: their parameters, which are part of the symbols, are nowhere given but by upstream's own headers.
set -euo pipefail
list=$(cd "$(dirname "$0")/.." && pwd)/csrc/native/executor_symbols.txt
symbols=$(nm -D --undefined-only --format=posix "${1:?the library is missing}" | awk '$2 == "U" && $1 ~ /12tensorrt_llm/ && $1 !~ /(Config|Request)C[12]E/ { print $1 }' | LC_ALL=C sort -u)
if [ -z "$symbols" ]; then
	echo "executor_symbols: $1 was compiled without TensorRT-LLM" >&2
	exit 1
fi
if [ "${2:-}" != --check ]; then
	echo "$symbols"
elif ! diff -u "$list" <(echo "$symbols"); then
	echo "executor_symbols: csrc/native/executor_symbols.txt is not what $1 needs: write it with scripts/executor_symbols.sh $1 >csrc/native/executor_symbols.txt" >&2
	exit 1
fi
