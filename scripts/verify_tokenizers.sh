#!/usr/bin/env bash
# Compares package tokenizer with the official libraries on real tokenizers, or with the argument speed
# measures both; scripts/verifytokenizers/main.go names what changes it. 0.3 GB are fetched at the first time.
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
if [ $# = 0 ]; then
	# Tests that need files which are not ours to keep: the real models' rows, and llama.cpp's vectors.
	mistral=$tools/mistral
	"$tools/venv/bin/python" scripts/ranked_goldens.py rows "$tools/rows/ranked" "$mistral"/tekken_*.json "$tools/tiktoken/qwen.tiktoken"
	"$tools/venv/bin/python" scripts/sentencepiece_goldens.py fuzz "$tools/rows/trained"
	"$tools/venv/bin/python" scripts/sentencepiece_goldens.py rows "$tools/rows/sentencepiece" "$mistral"/*.model.v*
	TRTGO_LLAMACPP_MODELS=$tools/llama.cpp TRTGO_RANKED_ROWS=$tools/rows/ranked TRTGO_SENTENCEPIECE_ROWS=$tools/rows/trained \
		go test -count=1 -run 'LlamaCpp|RankedRows|SentencePieceRows' ./tokenizer
	TRTGO_SENTENCEPIECE_ROWS=$tools/rows/sentencepiece go test -count=1 -run SentencePieceRows ./tokenizer
fi
go run ./scripts/verifytokenizers "$@"
