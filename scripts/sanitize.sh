#!/usr/bin/env bash
# Runs the tests that reach C++ under AddressSanitizer or ThreadSanitizer: `sanitize.sh address|thread [PACKAGE or flag of go test…]`.
# Go's own -asan instruments only Go, so the C++ gets its flags through cgo's
# environment. First a canary with a planted fault must be caught: a run whose
# instrumentation is off would pass everything.
set -euo pipefail
cd "$(dirname "$0")/.."
# The packages whose tests run C or C++. ThreadSanitizer's runtime does not start in a
# program whose only C is runtime/cgo, so pure Go is left to `go test -race`.
arguments=("${@:2}")
[ "${#arguments[@]}" -gt 0 ] || arguments=(./csrc/cpu ./csrc/native ./trtllm)
case "${1:-}" in
address)
	export CGO_CFLAGS="-g -O1 -fsanitize=address" CGO_CXXFLAGS="-g -O1 -fsanitize=address"
	# A library that is loaded later may throw: the sanitizer must have found the C++ runtime by then.
	export CGO_LDFLAGS="-Wl,--no-as-needed -lstdc++"
	# Go's runtime keeps memory that the leak checker cannot see.
	export ASAN_OPTIONS=detect_leaks=0
	flags=(-asan)
	;;
thread)
	export CGO_CFLAGS="-g -O1 -fsanitize=thread" CGO_CXXFLAGS="-g -O1 -fsanitize=thread" CGO_LDFLAGS="-fsanitize=thread"
	export TSAN_OPTIONS=halt_on_error=1
	flags=()
	;;
*)
	echo "usage: sanitize.sh address|thread [PACKAGE or flag of go test…]" >&2
	exit 2
	;;
esac
# The kernels ask for -O3, which takes minutes a file with a sanitizer's checks in it; the last -O counts. The compiler stands
# in a file, for cgo puts the package's own flags behind those of the environment.
mkdir -p out/tools
cxx=$PWD/out/tools/c++-O1
printf '#!/bin/sh\nexec %s "$@" -O1\n' "${CXX:-$(go env CXX)}" >"$cxx.new"
chmod +x "$cxx.new"
cmp -s "$cxx.new" "$cxx" || mv "$cxx.new" "$cxx"
rm -f "$cxx.new"
export CXX=$cxx
out=$(mktemp)
trap 'rm -f "$out"' EXIT
if go test "${flags[@]}" -count=1 -tags sanitizer_canary -run "TestCanary/$1" ./csrc/testing/canary >"$out" 2>&1; then
	cat "$out"
	echo "sanitize: the $1 canary was not caught: the C++ is not instrumented" >&2
	exit 1
fi
grep -qi "${1}sanitizer" "$out" || { cat "$out"; echo "sanitize: the $1 canary failed for another reason" >&2; exit 1; }
echo "sanitize: $1 canary caught"
# -short leaves out the kernels' largest shapes, of which the same code sees smaller ones.
# ThreadSanitizer's runtime now and then finds no place for its shadow where addresses are random: that run says nothing.
for _ in 1 2 3 4 5; do
	if go test "${flags[@]}" -short -count=1 -timeout 20m "${arguments[@]}" 2>&1 | tee "$out"; then exit 0; fi
	grep -q 'ThreadSanitizer failed to allocate' "$out" || exit 1
	echo "sanitize: ThreadSanitizer could not map its shadow; once more" >&2
done
exit 1
