#!/usr/bin/env bash
# Runs every fuzz target for the time given (default 5s each).
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-5s}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

fuzz() {
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$3" -fuzzminimizetime 20x "$1" 2>&1 | tee "$out"
}

# When the time ends while a slow input runs, go test may report its own deadline as
# a failure ("context deadline exceeded", no failing input). Such a target runs once
# more for a number of inputs, where there is no deadline; a failing input fails at once.
grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' . | sort | while read -r file; do
	package=$(dirname "$file")
	# shellcheck disable=SC2013 # a name is one word
	for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$file"); do
		echo "fuzz $package $target"
		fuzz "$package" "$target" "$time" && continue
		if grep -q 'context deadline exceeded' "$out" && ! grep -q 'Failing input' "$out"; then
			echo "fuzz $package $target: the deadline met a running input; again for 500 inputs"
			fuzz "$package" "$target" 500x
		else
			exit 1
		fi
	done
done
