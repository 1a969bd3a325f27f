#!/usr/bin/env bash
# Has the dynamic loader of this image resolve all that trtgo's libraries for TensorRT-LLM need, and fails where one is missing. Of the driver
# nothing can be there yet: it comes with the container's start.
#   check_libraries.sh FILE...
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: check_libraries.sh FILE..." >&2; exit 2; }
missing=0
for file in "$@"; do
	[ -e "$file" ] || { echo "check_libraries: $file is not there" >&2; exit 1; }
	# ldd fails on a file that needs nothing.
	found=$(ldd "$file" 2>&1) || [[ $found == *"not a dynamic executable"* || $found == *"statically linked"* ]] || { echo "check_libraries: ldd $file: $found" >&2; exit 1; }
	while read -r name _; do
		case "$name" in
		libcuda.so.* | libnvidia-*.so.*) echo "check_libraries: $name comes with the driver" ;;
		*) echo "check_libraries: $file needs $name, which is not in this image" >&2; missing=1 ;;
		esac
	done < <(grep 'not found' <<<"$found" || true)
done
exit "$missing"
