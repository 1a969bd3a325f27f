#!/usr/bin/env bash
# Prints the size of the CPU image, file by file: it has no base below it, so the sum is the whole image, before the compression
# that a registry adds.
#   size.sh [DIRECTORY]     a directory that assemble_cpu.sh made; without one, it is made first
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
image=${1:-}
if [ -z "$image" ]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	image=$work/image
	(cd "$here/.." && docker/assemble_cpu.sh "$image" >&2)
fi
[ -d "$image" ] || { echo "size: $image is no directory" >&2; exit 1; }
find "$image" -type f -printf '%s %P\n' | sort -rn |
	awk '{ printf "%12d  /%s\n", $1, $2; sum += $1; files++ }
		END { printf "%12d  bytes in %d files: %.1f MB\n", sum, files, sum / 1e6 }'
printf '%12d  bytes as a gzip-compressed layer\n' "$(tar -C "$image" -c . | gzip -6 | wc -c)"
