#!/usr/bin/env bash
# Compares TensorRT-LLM as it is installed here with what trtgo's library was written for: marks of release 1.2.1 in its public headers,
# and the symbols that the library needs. Prints also what both libraries are linked to.
#   check_release.sh SYMBOLS
# SYMBOLS lists mangled names, one a line. ROOT is a tree that stands for the image.
set -uo pipefail
symbols=${1:?usage: check_release.sh SYMBOLS}
root=${ROOT:-}
headers=$root/app/tensorrt_llm/include/tensorrt_llm/executor
libraries=$root/app/tensorrt_llm/lib
failed=0

# mark WANT NAME WHY: whether the headers have a name. WANT is yes, no, or told: it is only told.
mark() {
	local found=no
	if grep -qrw -- "$2" "$headers"; then found=yes; fi
	printf '%-40s expected %-4s found %-4s %s\n' "$2" "$1" "$found" "$3"
	if [ "$1" != told ] && [ "$1" != "$found" ]; then
		echo "check_release: $2 is expected to be in the headers of 1.2.1: $1, and is: $found"
		failed=1
	fi
}

if [ ! -f "$headers/executor.h" ]; then
	echo "check_release: $headers/executor.h is not there"
	failed=1
else
	mark yes promptIgnoreLength "penalties, new in 1.2"
	mark yes cacheSaltID "new in 1.1"
	mark yes failFastOnAttentionWindowTooLarge "new in 1.1"
	mark yes Executor "removed after 1.3"
	mark no getRandomSeed "gone by 1.1"
	mark told onboardBlocks "gone in 1.3"
	mark told setOnboardBlocks "its setter"
	mark told kMOONCAKE "1.2"
	mark told disaggRequestId "1.3"
	echo "constructor's default of normalizeLogProbs:"
	grep -rn 'normalizeLogProbs' "$headers" | head -n 4
fi

for name in libtensorrt_llm.so libnvinfer_plugin_tensorrt_llm.so; do
	echo "ldd $name:"
	ldd "$libraries/$name" 2>&1 | sed 's/ (0x.*)//'
done

if [ ! -s "$symbols" ]; then
	echo "check_release: $symbols lists no symbols"
	failed=1
elif exported=$(nm -D --defined-only "$libraries/libtensorrt_llm.so" 2>/dev/null | awk '{ print $3 }'); then
	total=0 missing=0
	while read -r symbol; do
		case "$symbol" in "" | "#"*) continue ;; esac
		total=$((total + 1))
		if ! grep -qxF -- "$symbol" <<<"${exported//@@*/}"; then
			missing=$((missing + 1))
			echo "check_release: libtensorrt_llm.so does not export $symbol ($(c++filt "$symbol" 2>/dev/null))"
			failed=1
		fi
	done <"$symbols"
	echo "symbols that trtgo's library needs: $total, missing: $missing"
else
	echo "check_release: nm cannot read $libraries/libtensorrt_llm.so"
	failed=1
fi
exit "$failed"
