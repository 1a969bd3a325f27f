#!/usr/bin/env bash
# The parts of verify.sh that are more than one command; each is a command of its own, so that a time limit holds for it:
#   trial.sh NAME [arguments]
# TRTGO, OUT, PROMPTS and LENGTH are verify.sh's.
set -uo pipefail

machine() {
	uname -srvm
	cat /etc/os-release
	nproc
	free -g
	"$TRTGO" --version
	if command -v nvidia-smi >/dev/null; then
		nvidia-smi -L | sed 's/(UUID: [^)]*)//'
		nvidia-smi --query-gpu=index,name,driver_version,memory.total,compute_cap --format=csv
		nvidia-smi topo -m
	else
		echo "no nvidia-smi"
	fi
	local command
	for command in mpirun trtllm-build nvcc; do readlink -f "$(command -v "$command")" || echo "no $command"; done
	mpirun --version 2>/dev/null | head -n 1
	cat /etc/ld.so.conf.d/*.conf 2>/dev/null
	python3 -m pip list 2>/dev/null | grep -iE '^(tensorrt|torch|transformers|mpi4py|numpy|nvidia|cuda|polygraphy|onnx)'
	return 0
}

# generate ENGINE FILE [flags]: greedy text of all prompts, as JSON lines in FILE.
generate() {
	local engine=$1 file=$2 status
	shift 2
	"$TRTGO" run --engine_dir "$engine" --input_file "$PROMPTS" --max_output_len "$LENGTH" --json --return_log_probs "$@" >"$file"
	status=$?
	cat "$file"
	return "$status"
}

# The same by two processes, of which the leader prints.
generate_on_two() {
	local status
	mpirun -n 2 "$TRTGO" run --engine_dir "$1" --input_file "$PROMPTS" --max_output_len "$LENGTH" --json --return_log_probs >"$2"
	status=$?
	cat "$2"
	return "$status"
}

# streaming ENGINE IDS: the text of a streamed answer is that of one that was waited for.
streaming() {
	local whole streamed
	whole=$("$TRTGO" run --engine_dir "$1" --input_ids "$2" --max_output_len "$LENGTH") || return 1
	streamed=$("$TRTGO" run --engine_dir "$1" --input_ids "$2" --max_output_len "$LENGTH" --streaming) || return 1
	printf 'waited for:\n%s\nstreamed:\n%s\n' "$whole" "$streamed"
	[ -n "$whole" ] && [ "$(tr -d '[:space:]' <<<"$whole")" = "$(tr -d '[:space:]' <<<"$streamed")" ]
}

# cancel ENGINE IDS TOKENS: Ctrl-C as soon as there is text ends the command within ten seconds, with the exit status of interrupts.
cancel() {
	local pid status waited=0 text=$OUT/cancelled.txt
	: >"$text"
	set -m # otherwise the command would ignore interrupts, as those in the background do
	"$TRTGO" run --engine_dir "$1" --input_ids "$2" --max_output_len "$3" --end_id -1 --streaming >"$text" &
	pid=$!
	while kill -0 "$pid" 2>/dev/null && ! grep -q "Output \[" "$text"; do sleep 0.02; done
	if ! kill -INT -- "-$pid" 2>/dev/null; then
		wait "$pid"
		status=$?
		head -c 2000 "$text"
		echo "the command had ended before it could be interrupted, with status $status"
		return 1
	fi
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.1
		waited=$((waited + 1))
		if [ "$waited" -gt 100 ]; then
			kill -KILL -- "-$pid"
			echo "the command still ran ten seconds after the interrupt"
			return 1
		fi
	done
	wait "$pid"
	status=$?
	head -c 2000 "$text"
	echo "ended with status $status, $waited tenths of a second after the interrupt"
	[ "$status" = 130 ]
}

# statistics ENGINE: they have TensorRT-LLM's names, and a line for each step.
statistics() {
	local file=$OUT/iterations.jsonl
	"$TRTGO" run --engine_dir "$1" --input_file "$PROMPTS" --max_output_len "$LENGTH" --json --iteration_stats "$file" >/dev/null || return 1
	head -n 3 "$file"
	wc -l "$file"
	python3 - "$file" <<-'PYTHON'
		import json, sys
		lines = [json.loads(line) for line in open(sys.argv[1])]
		sys.exit(0 if lines and all("iter" in s and "kvCacheStats" in s for s in lines) else 1)
	PYTHON
}

# speed ENGINE: tokens a second of all prompts at once, without opening the engine and the first token of each.
speed() {
	python3 - "$1" "$TRTGO" "$PROMPTS" "$LENGTH" <<-'PYTHON'
		import json, subprocess, sys, time
		engine, trtgo, prompts, length = sys.argv[1:]
		def run(tokens):
		    began = time.monotonic()
		    command = [trtgo, "run", "--engine_dir", engine, "--input_file", prompts, "--json", "--max_output_len", tokens]
		    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
		    return time.monotonic() - began, sum(len(json.loads(line)["output_ids"]) for line in text.splitlines() if line)
		short, few = run("1")
		whole, many = run(length)
		rate = f"{(many - few) / (whole - short):.1f} tokens a second" if whole > short else "too short to be measured"
		print(f"speed: {many} tokens in {whole:.2f} s; without opening the engine and the first tokens: {rate}")
	PYTHON
}

name=${1:?usage: trial.sh NAME [arguments]}
shift
case "$name" in
machine | generate | generate_on_two | streaming | cancel | statistics | speed) "$name" "$@" ;;
*)
	echo "trial: there is no trial $name" >&2
	exit 2
	;;
esac
