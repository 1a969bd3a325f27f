#!/usr/bin/env bash
# Checks docker/ as far as that goes without Docker, a GPU and NVIDIA's image: lints it, runs what its Dockerfiles run against
# scratch directories, and tests what a user runs in the images.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/out/tools/go/bin:$PATH
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() { echo "verify_docker: $*" >&2; exit 1; }
step() { echo "verify_docker: $*"; }

# Every script that a Dockerfile runs must be there.
dockerfiles() {
	local script found=0
	while read -r script; do
		[ -x "$script" ] || fail "a Dockerfile runs $script, which is no executable file"
		found=$((found + 1))
	done < <(grep -ohE 'docker/[a-z_]+\.sh' docker/Dockerfile.* | sort -u)
	[ "$found" -gt 0 ] || fail "no Dockerfile runs a script"
}

# The whole CPU image, as its last stage copies it, generates text with nothing of this machine but the kernel.
cpu_image() {
	local image=$dir/cpu
	docker/assemble_cpu.sh "$image"
	docker/size.sh "$image" | tee "$dir/size"
	local bytes
	bytes=$(sed -nE 's/^ *([0-9]+)  bytes in .*/\1/p' "$dir/size")
	[ "$bytes" -lt 40000000 ] || fail "the CPU image has $bytes bytes: it is to have tens of MB, at most 40"
	if docker/assemble_cpu.sh "$image" 2>"$dir/refused"; then fail "assemble_cpu.sh puts an image into a directory that is not empty"; fi
	grep -q "is not empty" "$dir/refused"

	cp -r internal/testmodel/testdata/models/llama-text "$image/work/model"
	local loader
	loader=$(find "$image/usr/lib" -type f -name "ld-linux-*")
	[ -n "$loader" ] || fail "the CPU image has no dynamic loader"
	inside() {
		if [ "$(id -u)" = 0 ]; then
			chroot "$image" /bin/sh -c : 2>/dev/null && fail "the CPU image has a shell: it must be of this machine"
			chroot --userspec=65532:65532 "$image" /usr/local/bin/trtgo "$@"
		else # the loader and the libraries of the image, but files of this machine
			"$loader" --library-path "$(dirname "$loader")" "$image/usr/local/bin/trtgo" "$@"
		fi
	}
	local work=/work
	[ "$(id -u)" = 0 ] || work=$image/work
	inside export "$work/model" --output_dir "$work/checkpoint" >/dev/null
	inside build --backend cpu --checkpoint_dir "$work/checkpoint" --output_dir "$work/engine" >/dev/null
	inside run --engine_dir "$work/engine" --max_output_len 4 --input_text "Born in" --json | tee "$dir/output"
	grep -q '"output_ids":\[[0-9]' "$dir/output" || fail "the CPU image generated nothing"
}

step "Dockerfiles and their scripts"
dockerfiles
step "the CPU image"
cpu_image
step "all is well"
