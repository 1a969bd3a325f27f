#!/usr/bin/env bash
# Fetches what llama.cpp keeps in its folder models/ into TARGET, unless it is there already: chat templates of real models, and
# test vocabularies with what the official tokenizers make of some texts. They lie in the source of the Python package
# llama-cpp-python, 77 MB; the templates' licences forbid keeping them here.
set -euo pipefail
target=$1
[ ! -d "$target" ] || exit 0
mkdir -p "$(dirname "$target")"
dir=$(mktemp -d "$(dirname "$target")/.fetch.XXXXXX")
trap 'rm -rf "$dir"' EXIT
echo "Fetching llama.cpp's templates and vocabularies with pip ..." >&2
python3 -m pip download -q --no-binary :all: --no-deps --disable-pip-version-check -d "$dir" llama-cpp-python==0.3.36
tar -xzf "$dir"/llama_cpp_python-0.3.36.tar.gz -C "$dir" --wildcards '*/vendor/llama.cpp/models/*'
mv "$dir"/llama_cpp_python-0.3.36/vendor/llama.cpp/models "$target"
