#!/usr/bin/env bash
# Tries all of trtgo's road to TensorRT-LLM on this machine, beside upstream's own tools and transformers, and writes one report to
# attach to a bug. A step that fails stops only those that need its result. docker/README.md has the commands.
#
#   verify.sh MODEL_DIR [options]     MODEL_DIR: a Hugging Face directory
#     --out DIR             where everything is written (trtgo-report); DIR.tar.gz is the report
#     --backend NAME        tensorrt-llm, or cpu, which needs no GPU
#     --dtype NAME          bfloat16, float16 or float32: of the checkpoint (bfloat16)
#     --prompts FILE        prompts, .txt one a line or .csv of token ids
#     --max_output_len N    tokens to generate for each (32)
#     --reference FILE      what reference.py wrote elsewhere, instead of running transformers here
#     --keep                keep checkpoints and engines in DIR
#
# Exit status: 0 all that ran went well, 1 something failed, 2 wrong usage, 130 interrupted.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=$here/verify
trtgo=${TRTGO:-trtgo}
run_py=${RUN_PY:-/app/tensorrt_llm/examples/run.py}
symbols=${SYMBOLS:-$here/../executor_symbols.txt}
[ -e "$symbols" ] || symbols=$here/../csrc/native/executor_symbols.txt

usage() {
	sed -nE '/^#   verify.sh/,/^set/s/^# ?//p' "${BASH_SOURCE[0]}" >&2
	exit 2
}
model='' out=trtgo-report backend=tensorrt-llm dtype=bfloat16 prompts=$tools/prompts.txt length=32 reference='' keep=''
while [ $# -gt 0 ]; do
	case "$1" in
	--out | --backend | --dtype | --prompts | --max_output_len | --reference)
		[ $# -ge 2 ] || usage
		case "$1" in
		--out) out=$2 ;;
		--backend) backend=$2 ;;
		--dtype) dtype=$2 ;;
		--prompts) prompts=$2 ;;
		--max_output_len) length=$2 ;;
		--reference) reference=$2 ;;
		esac
		shift
		;;
	--keep) keep=yes ;;
	-*) usage ;;
	*)
		[ -z "$model" ] || usage
		model=$1
		;;
	esac
	shift
done
[ -n "$model" ] || usage
case "$backend" in tensorrt-llm | cpu) ;; *) usage ;; esac
case "$dtype" in bfloat16 | float16 | float32) ;; *) usage ;; esac
for path in "$model" "$prompts" ${reference:+"$reference"}; do
	[ -r "$path" ] || { echo "verify: $path is not there, or may not be read" >&2; exit 2; }
done
command -v python3 >/dev/null || { echo "verify: python3 is missing: run this in the image of Dockerfile.tensorrt-llm" >&2; exit 2; }
if [ -e "$out" ] && [ -n "$(ls -A "$out")" ]; then
	echo "verify: $out is not empty: name a new directory with --out" >&2
	exit 2
fi
mkdir -p "$out/logs" || exit 2
out=$(cd "$out" && pwd) model=$(realpath "$model") prompts=$(realpath "$prompts")
steps=$out/steps.tsv
: >"$steps"
number=0
declare -A state # of each step: ok, failed or skipped
running=()       # name and command of the step that runs

# record NAME STATUS EXIT SECONDS TEXT
record() {
	local text=${5//[$'\t\n']/ }
	state[$1]=$2
	printf '%d\t%s\t%s\t%d\t%s\t%s\n' "$number" "$1" "$2" "$3" "$4" "$text" >>"$steps"
	printf 'verify: %-34s %s\n' "$1" "$2${3:+ }$([ "$3" = 0 ] || echo "(exit status $3)")" >&2
}

# step NAME COMMAND...: runs a command, with its output in a file of its own. It has an hour.
step() {
	local name=$1 status
	shift
	number=$((number + 1))
	running=("$name" "$@")
	began=$(date +%s.%N)
	timeout --foreground --kill-after=30 3600 "$@" >"$out/logs/$number.txt" 2>&1 </dev/null
	status=$?
	record "$name" "$([ "$status" = 0 ] && echo ok || echo failed)" "$status" "$(elapsed "$began")" "$*"
	running=()
	return "$status"
}

elapsed() { awk -v a="$1" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }'; }

# skip NAME REASON
skip() {
	number=$((number + 1))
	record "$1" skipped 0 0 "$2"
}

# step_after NEEDED NAME COMMAND...: skipped when a step that it needs did not go well; NEEDED may be several with commas between.
step_after() {
	local name=$2 needed n
	IFS=, read -ra needed <<<"$1"
	shift 2
	for n in "${needed[@]}"; do
		if [ "${state[$n]:-skipped}" != ok ]; then
			skip "$name" "\"$n\" did not go well"
			return 1
		fi
	done
	step "$name" "$@"
}

# finish [STATUS]: the report, and the end. A step that runs has been interrupted.
finish() {
	trap '' INT
	if [ ${#running[@]} -gt 0 ]; then record "${running[0]}" failed "${1:-1}" "$(elapsed "$began")" "${running[*]:1}"; fi
	python3 "$tools/write_report.py" "$out"
	local status=${1:-$?}
	if [ -z "$keep" ]; then rm -rf "$out"/checkpoint* "$out"/engine*; fi
	tar -czf "$out.tar.gz" -C "$(dirname "$out")" "$(basename "$out")"
	echo "report to attach: $out.tar.gz"
	exit "$status"
}
# An interrupt ends the step that runs, and what was found until then is told.
trap 'finish 130' INT

has_module() { python3 -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)" 2>/dev/null; }
gpus() { nvidia-smi -L 2>/dev/null | grep -c '^GPU ' || true; }

# What takes more than one command is in trial.sh.
export TRTGO=$trtgo OUT=$out PROMPTS=$prompts LENGTH=$length
trial=$tools/trial.sh

step "machine" "$trial" machine
# The exit status is of a machine that lacks something; on the CPU the rest is of no matter.
step "trtgo doctor" "$trtgo" doctor --backend "$backend" --json
if [ "$backend" = tensorrt-llm ]; then
	step "release of TensorRT-LLM" "$tools/check_release.sh" "$symbols"
else
	skip "release of TensorRT-LLM" "the backend is cpu"
fi

checkpoint=$out/checkpoint
step "export" "$trtgo" export "$model" --dtype "$dtype" --output_dir "$checkpoint"
batch=$(grep -c . "$prompts") # run.py sends all of them at once
limits=(--max_batch_size $((batch > 8 ? batch : 8)) --max_input_len 512 --max_seq_len $((512 + length)) --max_num_tokens 2048)
plugins=(--gpt_attention_plugin "$dtype" --gemm_plugin "$dtype")
step_after "export" "network of trtgo" "$trtgo" build --backend tensorrt-llm --checkpoint_dir "$checkpoint" --network_only "$out/network-trtgo.json" "${limits[@]}" "${plugins[@]}"
step_after "export" "engine of trtgo" "$trtgo" build --backend "$backend" --checkpoint_dir "$checkpoint" --output_dir "$out/engine-trtgo" "${limits[@]}" "${plugins[@]}"
if has_module tensorrt_llm; then
	step_after "export" "engine of trtllm-build" python3 "$tools/record_network.py" "$out/network-upstream.json" \
		--checkpoint_dir "$checkpoint" --output_dir "$out/engine-upstream" --workers 1 "${limits[@]}" "${plugins[@]}"
	step_after "network of trtgo,engine of trtllm-build" "networks compared" python3 "$tools/compare_networks.py" "$out/network-trtgo.json" "$out/network-upstream.json"
else
	skip "engine of trtllm-build" "TensorRT-LLM's Python package is not installed"
	skip "networks compared" "TensorRT-LLM's Python package is not installed"
fi

step_after "engine of trtgo" "run trtgo's engine" "$trial" generate "$out/engine-trtgo" "$out/trtgo.jsonl"
if [ "$backend" = tensorrt-llm ]; then
	step_after "engine of trtllm-build" "run trtllm-build's engine" "$trial" generate "$out/engine-upstream" "$out/trtgo-on-upstream.jsonl" --tokenizer_dir "$checkpoint"
else
	skip "run trtllm-build's engine" "the backend is cpu"
fi
# Prompts as ids, for the others: what trtgo made of them.
ids=$out/ids.csv
if [ "${state["run trtgo's engine"]}" = ok ]; then
	python3 -c 'import json, sys
for line in open(sys.argv[1]): print(",".join(map(str, json.loads(line)["input_ids"])))' "$out/trtgo.jsonl" >"$ids"
	first=$(head -n 1 "$ids")
fi
if [ "$backend" = tensorrt-llm ] && [ -r "$run_py" ]; then
	for engine in upstream trtgo; do
		name="run.py on $engine's engine" maker=trtllm-build
		[ "$engine" = upstream ] || maker=trtgo
		step_after "engine of $maker,run trtgo's engine" "$name" python3 "$run_py" --engine_dir "$out/engine-$engine" --tokenizer_dir "$model" \
			--input_file "$ids" --max_output_len "$length" --output_csv "$out/runpy-on-$engine.csv"
	done
else
	skip "run.py on upstream's engine" "$([ "$backend" = cpu ] && echo "the backend is cpu" || echo "$run_py is not there")"
	skip "run.py on trtgo's engine" "$([ "$backend" = cpu ] && echo "the backend is cpu" || echo "$run_py is not there")"
fi

if [ -n "$reference" ]; then
	step "transformers" cp "$reference" "$out/reference.json"
elif has_module transformers; then
	step_after "run trtgo's engine" "transformers" python3 "$tools/reference.py" "$model" "$out/trtgo.jsonl" "$out/reference.json" --dtype "$dtype" --max_output_len "$length"
else
	skip "transformers" "transformers is not installed, and no --reference was given"
fi
compare() { # NEEDED FILE NAME
	step_after "transformers,$1" "$3" python3 "$tools/compare_outputs.py" "$out/reference.json" "$2" --dtype "$dtype"
}
compare "run trtgo's engine" "$out/trtgo.jsonl" "trtgo against transformers"
compare "run trtllm-build's engine" "$out/trtgo-on-upstream.jsonl" "its engine against transformers"
compare "run.py on upstream's engine" "$out/runpy-on-upstream.csv" "run.py against transformers"
compare "run.py on trtgo's engine" "$out/runpy-on-trtgo.csv" "run.py on trtgo's engine against them"

step_after "run trtgo's engine" "streaming" "$trial" streaming "$out/engine-trtgo" "${first:-}"
# As long as the model's positions allow: there must be time to interrupt it.
long=$(python3 -c 'import json, sys
print(min(8192, json.load(open(sys.argv[1] + "/config.json")).get("max_position_embeddings", 4096)))' "$checkpoint" 2>/dev/null) || long=4096
step_after "export" "engine of long outputs" "$trtgo" build --backend "$backend" --checkpoint_dir "$checkpoint" --output_dir "$out/engine-long" \
	--max_batch_size 1 --max_input_len 512 --max_seq_len "$long" --max_num_tokens 2048 "${plugins[@]}"
step_after "run trtgo's engine,engine of long outputs" "cancel by Ctrl-C" "$trial" cancel "$out/engine-long" "${first:-}" $((long - 512))
step_after "run trtgo's engine" "statistics" "$trial" statistics "$out/engine-trtgo"
step_after "run trtgo's engine" "speed" "$trial" speed "$out/engine-trtgo"

if [ "$backend" = cpu ]; then
	skip "two processes" "the backend is cpu, which runs one"
elif [ "$(gpus)" -lt 2 ]; then
	skip "two processes" "there are $(gpus) GPUs"
elif ! command -v mpirun >/dev/null; then
	skip "two processes" "mpirun is not on PATH"
else
	step "export for two GPUs" "$trtgo" export "$model" --dtype "$dtype" --tp_size 2 --output_dir "$out/checkpoint-2"
	step_after "export for two GPUs" "engine for two GPUs" "$trtgo" build --backend "$backend" --checkpoint_dir "$out/checkpoint-2" --output_dir "$out/engine-2" "${limits[@]}" "${plugins[@]}"
	step_after "engine for two GPUs" "two processes" "$trial" generate_on_two "$out/engine-2" "$out/trtgo-2.jsonl"
	compare "two processes" "$out/trtgo-2.jsonl" "two processes against transformers"
fi

finish
