#!/usr/bin/env bash
# Compares package tokenizer with the official libraries on real tokenizers, or with the argument speed
# measures both; scripts/verifytokenizers/main.go names what changes it. 0.2 GB are fetched at the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/out/tokenizers
export PATH=$PWD/out/tools/go/bin:$PATH

scripts/fetch_tokenizers.sh "$tools"
if [ ! -s "$tools/smollm2/tokenizer.json" ]; then
	rm -rf "$tools/smollm2.export"
	out/bin/trtgo export models/SmolLM2-135M-Instruct.Q4_1.gguf -o "$tools/smollm2.export" --quiet
	rm "$tools"/smollm2.export/*.safetensors
	mv "$tools/smollm2.export" "$tools/smollm2"
fi
go run ./scripts/verifytokenizers "$@"
