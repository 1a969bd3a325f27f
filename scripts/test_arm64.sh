#!/usr/bin/env bash
# Compiles the CPU engine for AArch64 with warnings as errors and tests its kernels there. A machine of another kind
# compiles with a cross compiler and runs the tests in qemu, as processors with and without the later instructions.
set -euo pipefail
cd "$(dirname "$0")/../csrc/cpu"
kernels='^Test(Kernel|Linear|Quantised|Integer|Pairs|Attention|RMSNorm|LayerNorm|Activations|Gated|RowStatistics|Amax|ToBF16)'
linears='^Test(Linear|Quantised|Integer)' # where neondotprod differs from neon

export GOARCH=arm64 CGO_ENABLED=1 CGO_CXXFLAGS="-Wall -Wextra -Wconversion -Werror"
if [ "$(uname -m)" = aarch64 ]; then
	go test -short -count=1 -run "$kernels" .
	exit
fi
export CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++
if ! command -v "$CXX" qemu-aarch64 >/dev/null; then
	echo "test_arm64: NOTHING WAS TESTED ON AARCH64: it needs $CXX and qemu-aarch64; scripts/setup.sh ci installs Debian's" >&2
	exit 1
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go test -c -o "$dir/cpu.test" .

# Runs the tests of a pattern as a processor whose best kernel set has to be the one given.
emulate() { # PROCESSOR BEST PATTERN
	TRTGO_TEST_BEST_ISA=$2 qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu "$1" "$dir/cpu.test" -test.short -test.v -test.run "$3"
}

# As `emulate`, of one set, which must not be skipped.
emulate_set() { # SET PATTERN
	local log=$dir/$1.log
	if ! emulate max neonbf16 "$2/^$1\$" >"$log" 2>&1 || ! grep -q "^    --- PASS: TestIntegerLinearIsExact/$1 " "$log"; then
		cat "$log"
		echo "test_arm64: the tests of $1 failed, or were skipped" >&2
		return 1
	fi
	echo "test_arm64: $1: $(grep -c "^    --- PASS: .*/$1 " "$log") tests"
}

emulate_set neonbf16 "$kernels" &
emulate_set neon "$kernels"
emulate_set neondotprod "$linears"
for processor in cortex-a72:neon neoverse-n1:neondotprod max:neonbf16; do
	emulate "${processor%:*}" "${processor#*:}" '^TestKernelSets' | grep -E '^(PASS|FAIL|--- FAIL|panic)' | sed "s/^/test_arm64: $processor: /"
done
wait %1
