#!/usr/bin/env bash
# Assembles the whole file system of the CPU image below the directory given: the command, the few libraries of libc that it
# needs, a user and a directory for temporary files.
#   assemble_cpu.sh DIRECTORY [TRTGO]
# TRTGO is a command that was built before; otherwise the source tree in the working directory is built.
set -euo pipefail
image=${1:?usage: assemble_cpu.sh DIRECTORY [TRTGO]}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -e "$image" ] && [ -n "$(ls -A "$image")" ]; then
	echo "assemble_cpu: $image is not empty: name a new directory" >&2
	exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# It lies at the path that it is to have, since libraries are copied with their paths.
program=usr/local/bin/trtgo
mkdir -p "$work/$(dirname "$program")"
if [ -n "${2:-}" ]; then cp "$2" "$work/$program"; else "$here/build_trtgo.sh" "$work/$program"; fi
chmod 755 "$work/$program"
(cd "$here/.." && go run ./docker/collect --target "$work/libraries" --interpreter "$work/$program")

mkdir -p "$image/$(dirname "$program")" "$image/etc" "$image/tmp" "$image/work"
for entry in lib lib64 usr; do # no others: the program's own temporary path is among them
	if [ -e "$work/libraries/$entry" ] || [ -L "$work/libraries/$entry" ]; then cp -a "$work/libraries/$entry" "$image/"; fi
done
cp "$work/$program" "$image/$program"
chmod 1777 "$image/tmp"
# The user owns the directory in which it starts, so that a path without a volume can be written too.
printf 'root:x:0:0:root:/:/sbin/nologin\ntrtgo:x:65532:65532:trtgo:/work:/sbin/nologin\n' >"$image/etc/passwd"
printf 'root:x:0:\ntrtgo:x:65532:\n' >"$image/etc/group"
if [ "$(id -u)" = 0 ]; then chown 65532:65532 "$image/work"; else chmod 1777 "$image/work"; fi
