#!/usr/bin/env bash
# The whole road on a real model: export, build, summarise ten articles with ROUGE.
# MODEL=path takes your own GGUF file or Hugging Face directory instead. What a
# former run left is reused.
set -euo pipefail
cd "$(dirname "$0")/.."
trtgo=out/bin/trtgo
model=${MODEL:-models/SmolLM2-135M-Instruct.Q4_1.gguf}
if [ -z "${MODEL:-}" ]; then scripts/fetch_model.sh "$model"; fi
[ -e "$model" ] || { echo "demo: no such model: $model" >&2; exit 1; }

name=$(basename "${model%/}")
name=${name%.gguf}
root=${DEMO_DIR:-out/demo}/$name
checkpoint=$root/checkpoint engine=$root/engine summaries=$root/summaries.jsonl
mkdir -p "$root"

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# An artefact is rebuilt when what it was made from is newer.
fresh() { [ -f "$1/config.json" ] && [ ! "$2" -nt "$1/config.json" ]; }

if fresh "$checkpoint" "$model"; then
	step "checkpoint   $checkpoint (there already)"
else
	step "export       $model -> $checkpoint"
	"$trtgo" export "$model" --output_dir "$checkpoint"
fi
# Another release may have another format of engine files.
readable() { "$trtgo" inspect --json "$1" 2>/dev/null | grep -q '"problems":\[\]'; }
if fresh "$engine" "$checkpoint/config.json" && readable "$engine"; then
	step "engine       $engine (there already)"
else
	step "build        $checkpoint -> $engine"
	"$trtgo" build --checkpoint_dir "$checkpoint" --output_dir "$engine" --backend cpu \
		--max_batch_size 8 --max_input_len 1024 --max_seq_len 1280
fi
step "summarize    examples/summarize/testdata/articles.jsonl"
"$trtgo" summarize --engine_dir "$engine" --dataset examples/summarize/testdata/articles.jsonl \
	--max_ite 10 --batch_size 1 --output_len 100 --streaming --output "$summaries" "$@"

step "Where everything is"
printf '  model       %s\n  checkpoint  %s\n  engine      %s\n  summaries   %s\n' "$model" "$checkpoint" "$engine" "$summaries"
printf '\nAsk it something:\n  %s run --engine_dir %s --chat_template on --max_output_len 64 --streaming --input_text "Why is the sky blue?"\n  %s chat --engine_dir %s\n' "$trtgo" "$engine" "$trtgo" "$engine"
