#!/usr/bin/env bash
# Checks docker/ as far as that goes without Docker, a GPU and NVIDIA's image: lints it, runs what its Dockerfiles run against
# scratch directories, and tests what a user runs in the images.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/out/tools/go/bin:$PATH PYTHONDONTWRITEBYTECODE=1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() { echo "verify_docker: $*" >&2; exit 1; }
step() { echo "verify_docker: $*"; }

# Every script that a Dockerfile runs must be there.
dockerfiles() {
	local script found=0
	while read -r script; do
		[ -x "$script" ] || fail "a Dockerfile runs $script, which is no executable file"
		found=$((found + 1))
	done < <(grep -ohE 'docker/[a-z_]+\.sh' docker/Dockerfile.* | sort -u)
	[ "$found" -gt 0 ] || fail "no Dockerfile runs a script"
}

# The whole CPU image, as its last stage copies it, generates text with nothing of this machine but the kernel.
cpu_image() {
	local image=$dir/cpu
	docker/assemble_cpu.sh "$image"
	docker/size.sh "$image" | tee "$dir/size"
	local bytes
	bytes=$(sed -nE 's/^ *([0-9]+)  bytes in .*/\1/p' "$dir/size")
	[ "$bytes" -lt 40000000 ] || fail "the CPU image has $bytes bytes: it is to have tens of MB, at most 40"
	refused "is not empty" docker/assemble_cpu.sh "$image"

	cp -r internal/testmodel/testdata/models/llama-text "$image/work/model"
	local loader
	loader=$(find "$image/usr/lib" -type f -name "ld-linux-*")
	[ -n "$loader" ] || fail "the CPU image has no dynamic loader"
	inside() {
		if [ "$(id -u)" = 0 ]; then
			chroot "$image" /bin/sh -c : 2>/dev/null && fail "the CPU image has a shell: it must be of this machine"
			chroot --userspec=65532:65532 "$image" /usr/local/bin/trtgo "$@"
		else # the loader and the libraries of the image, but files of this machine
			"$loader" --library-path "$(dirname "$loader")" "$image/usr/local/bin/trtgo" "$@"
		fi
	}
	local work=/work
	[ "$(id -u)" = 0 ] || work=$image/work
	inside export "$work/model" --output_dir "$work/checkpoint" >/dev/null
	inside build --backend cpu --checkpoint_dir "$work/checkpoint" --output_dir "$work/engine" >/dev/null
	inside run --engine_dir "$work/engine" --max_output_len 4 --input_text "Born in" --json | tee "$dir/output"
	grep -q '"output_ids":\[[0-9]' "$dir/output" || fail "the CPU image generated nothing"
}

# refused WANT COMMAND...: the command must fail, with the text in what it prints.
refused() {
	local want=$1
	shift
	if "$@" >"$dir/refused" 2>&1; then fail "this went well, and was to be refused: $*"; fi
	grep -qF "$want" "$dir/refused" || fail "$* does not say \"$want\" but: $(cat "$dir/refused")"
}

# Archives of a Go that says its version and no more, in the forms of the module proxy and of go.dev.
install_go() {
	local root="$dir/archive/golang.org/toolchain@v0.0.1-go9.9.linux-any" archive sum
	mkdir -p "$root/bin" "$root/pkg/tool/linux_any" "$dir/empty"
	printf '#!/bin/sh\necho go version go9.9\n' >"$root/bin/go"
	printf '#!/bin/sh\n' >"$root/pkg/tool/linux_any/compile"
	(cd "$dir/archive" && python3 -m zipfile -c ../go.zip golang.org && tar -czf ../go.tar.gz golang.org && tar -czf ../empty.tar.gz -C ../empty .)
	for archive in go.zip go.tar.gz; do
		sum=$(sha256sum "$dir/$archive" | cut -d ' ' -f 1)
		GO_URL=file://$dir/$archive GO_SHA256=$sum docker/install_go.sh "$dir/prefix-$archive" | grep -q 'go version go9.9'
		[ -x "$dir/prefix-$archive/go/pkg/tool/linux_any/compile" ] || fail "install_go.sh leaves Go's tools without their execute bits"
		GO_URL=file://$dir/$archive GO_SHA256=$sum refused "is there already" docker/install_go.sh "$dir/prefix-$archive"
	done
	GO_URL=file://$dir/go.zip GO_SHA256=0123 refused "has the checksum $(sha256sum "$dir/go.zip" | cut -d ' ' -f 1), want 0123" docker/install_go.sh "$dir/damaged"
	GO_URL=file://$dir/absent.zip GO_SHA256=0123 refused "could not be fetched" docker/install_go.sh "$dir/absent"
	GO_URL=file://$dir/go.zip refused "GO_URL needs GO_SHA256" docker/install_go.sh "$dir/unsure"
	GO_URL=file://$dir/empty.tar.gz GO_SHA256=$(sha256sum "$dir/empty.tar.gz" | cut -d ' ' -f 1) refused "has no bin/go" docker/install_go.sh "$dir/empty-prefix"
	[ -z "$(find "$dir/damaged" "$dir/absent" "$dir/empty-prefix" -mindepth 1)" ] || fail "install_go.sh leaves a part of what it refused"
}

# A tree laid out as NVIDIA's image, with our stand-in for TensorRT-LLM and the headers of TensorRT 11.4.
tensorrt_llm_tree() {
	local tools=$PWD/out/tools/tensorrt packages=$1/usr/local/lib/python3.12/dist-packages
	if ! scripts/fetch_tensorrt.sh "$tools"; then
		echo "verify_docker: the headers of TensorRT cannot be had: build_native.sh WAS NOT RUN" >&2
		if [ "${TRTGO_SKIP_TENSORRT:-}" = 1 ] && [ -z "${CI:-}" ]; then return 1; fi
		fail "TRTGO_SKIP_TENSORRT=1 skips this outside of CI"
	fi
	local build=$PWD/out/verify-docker
	cmake -S csrc/testing/tensorrt_llm -B "$build" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_SKIP_RPATH=ON >/dev/null
	cmake --build "$build" -j "$(nproc)" --target tensorrt_llm nvinfer_plugin_tensorrt_llm cuda >/dev/null
	mkdir -p "$packages/tensorrt_llm" "$1/app/tensorrt_llm" "$1/usr/local/tensorrt" "$1/opt/hpcx/ompi/lib"
	cp -r "$build/lib" "$packages/tensorrt_llm/libs"
	mv "$packages"/tensorrt_llm/libs/libmpi.so* "$1/opt/hpcx/ompi/lib/"
	rm "$packages"/tensorrt_llm/libs/libcuda.so* # the driver's
	ln -s ../../usr/local/lib/python3.12/dist-packages/tensorrt_llm/libs "$1/app/tensorrt_llm/lib"
	cp -r csrc/testing/tensorrt_llm/include "$1/app/tensorrt_llm/include"
	cp -r "$tools/headers/TRT-Enterprise-11.4" "$1/usr/local/tensorrt/include"
}

native_library() {
	local root=$dir/tree library=$dir/native/libtrtgo_tensorrt.so
	tensorrt_llm_tree "$root" || return 0
	ROOT=$root docker/build_native.sh "$dir/native" >/dev/null
	nm -D --defined-only "$library" | grep -q 'trtgo_executor_open' || fail "build_native.sh built a library without the executor"

	# What the loader of such an image knows and does not know of.
	cat >"$dir/ldconfig" <<-EOF
		#!/bin/sh
		if [ "\$1" = -p ]; then echo "	libtensorrt_llm.so (libc6,x86-64) => /app/tensorrt_llm/lib/libtensorrt_llm.so"; else touch "$dir/ldconfig.ran"; fi
	EOF
	chmod +x "$dir/ldconfig"
	ROOT=$root LDCONFIG=$dir/ldconfig docker/configure_loader.sh 2>"$dir/unknown"
	[ "$(cat "$root/etc/ld.so.conf.d/trtgo.conf")" = /opt/hpcx/ompi/lib ] || fail "configure_loader.sh wrote $(cat "$root/etc/ld.so.conf.d/trtgo.conf")"
	grep -q 'libnvinfer.so.10 is nowhere' "$dir/unknown"
	[ -e "$dir/ldconfig.ran" ] || fail "configure_loader.sh did not run ldconfig"

	refused "needs libmpi.so.40, which is not in this image" docker/check_libraries.sh "$library"
	LD_LIBRARY_PATH=$root/opt/hpcx/ompi/lib docker/check_libraries.sh "$library"

	docker/verify/check_release.sh csrc/native/executor_symbols.txt >/dev/null && fail "check_release.sh finds a release where there is none"
	ROOT=$root docker/verify/check_release.sh csrc/native/executor_symbols.txt >"$dir/release" || fail "check_release.sh: $(cat "$dir/release")"
	cat csrc/native/executor_symbols.txt - <<<"_ZN12tensorrt_llm8executor8Executor4goneEv" >"$dir/symbols"
	ROOT=$root refused "does not export _ZN12tensorrt_llm8executor8Executor4goneEv" docker/verify/check_release.sh "$dir/symbols"

	local less=$dir/less
	cp -r "$root" "$less"
	rm "$less"/app/tensorrt_llm/lib/libtensorrt_llm.so
	ROOT=$less refused "is not in lib or libs of" docker/build_native.sh "$dir/native"
	rm -r "$less"/app/tensorrt_llm/include
	ROOT=$less refused "is not in include" docker/build_native.sh "$dir/native"
}

# What the entry point and the report do is no matter of an image.
small_scripts() {
	local image=$dir/cpu
	printf 'echo noise\nexport OF_THE_IMAGE=yes\n' >"$dir/shinit"
	# shellcheck disable=SC2016 # for the shell inside
	[ "$(ENV=$dir/shinit docker/entrypoint.sh sh -c 'echo "$OF_THE_IMAGE $1"' sh 'a  b')" = "yes a  b" ] || fail "entrypoint.sh changes the command, or prints"
	refused "No such file" docker/entrypoint.sh "$dir/no-such-command"
	TRTGO=$image/usr/local/bin/trtgo docker/report_doctor.sh >/dev/null 2>"$dir/doctor" || fail "report_doctor.sh fails where there is no GPU"
	TRTGO=$dir/no-such-trtgo refused "No such file" docker/report_doctor.sh
	refused "is not there" docker/check_libraries.sh "$dir/no-such-library"
	if [ "$(id -u)" = 0 ] && command -v useradd >/dev/null; then
		mkdir -p "$dir/users/etc" "$dir/users/home"
		cp /etc/login.defs "$dir/users/etc/"
		touch "$dir/users/etc/"{passwd,group,shadow,gshadow}
		ROOT=$dir/users docker/add_user.sh
		grep -q '^trtgo:x:10001:10001:' "$dir/users/etc/passwd" || fail "add_user.sh did not add the user"
		[ "$(stat -c %u "$dir/users/work")" = 10001 ] || fail "add_user.sh did not give /work to the user"
	fi
}

# table PATTERN...: what verify.sh printed must have lines like these.
table() {
	local pattern
	for pattern in "$@"; do
		grep -q -- "$pattern" "$dir/table" || fail "verify.sh does not say \"$pattern\" but: $(cat "$dir/table")"
	done
}

# verify.sh on the CPU backend, with what transformers made of the tiny model elsewhere, and then as if this were a machine with two GPUs:
# stand-ins for NVIDIA's and upstream's programs, and a trtgo that takes its own CPU backend for TensorRT-LLM's.
verify_script() {
	local model=internal/testmodel/testdata/models/llama-text bin=$dir/bin
	mkdir -p "$bin"
	python3 - internal/testmodel/testdata/goldens/llama-text.json "$dir/reference.json" "$dir/prompts.csv" <<-'PYTHON'
		import json, sys
		with open(sys.argv[1]) as f:
		    golden = json.load(f)
		keys = ("prompts", "greedy_ids", "log_probs", "margins")
		sequences = [dict(zip(("input_ids", "output_ids", "log_probs", "margins"), values)) for values in zip(*(golden[k] for k in keys))]
		with open(sys.argv[2], "w") as f:
		    json.dump({"end_ids": [], "sequences": sequences}, f)
		with open(sys.argv[3], "w") as f:
		    f.writelines(",".join(map(str, ids)) + "\n" for ids in golden["prompts"])
	PYTHON
	go build -o "$bin/real-trtgo" ./cmd/trtgo
	local options=(--dtype float32 --reference "$dir/reference.json" --prompts "$dir/prompts.csv")
	HF_TOKEN=not-for-the-report TRTGO=$bin/real-trtgo docker/verify.sh "$model" --backend cpu "${options[@]}" --out "$dir/report-cpu" >"$dir/table" 2>&1 ||
		fail "verify.sh fails on the CPU backend: $(cat "$dir/table" "$dir/report-cpu/report.md")"
	table 'cancel by Ctrl-C  *ok' 'trtgo against transformers  *ok' 'two processes  *skipped .*the backend is cpu'
	mkdir "$dir/unpacked"
	tar -xzf "$dir/report-cpu.tar.gz" -C "$dir/unpacked"
	if [ ! -s "$dir/unpacked/report-cpu/report.json" ] || [ -e "$dir/unpacked/report-cpu/checkpoint" ]; then fail "the report's archive has the wrong files"; fi
	if grep -rq not-for-the-report "$dir/unpacked"; then fail "the report has a secret in it"; fi

	[ -d "$dir/tree" ] || return 0 # said above

	cat >"$bin/nvidia-smi" <<-'SHELL'
		#!/bin/sh
		if [ "$1" = -L ]; then for i in 0 1; do echo "GPU $i: Stand-in (UUID: GPU-1234)"; done; fi
	SHELL
	cat >"$bin/mpirun" <<-'SHELL'
		#!/bin/sh
		if [ "$1" = --version ]; then echo stand-in; else shift 2; exec "$@"; fi
	SHELL
	cat >"$bin/trtgo" <<-'SHELL'
		#!/usr/bin/env bash
		if [ "$1" = "${FAILING:-}" ]; then
			echo "a planted failure"
			exit 7
		fi
		if [ "$1" = "${SLOW:-}" ]; then
			touch "$SLOW_MARK"
			exec sleep 600
		fi
		arguments=() last=
		for a in "$@"; do
			case "$last $a" in
			*" tensorrt-llm") [[ " $* " == *" --network_only "* ]] || a=cpu ;;
			"--tp_size 2") a=1 ;;
			"--engine_dir "*/engine-upstream) a=${a%upstream}trtgo ;;
			esac
			arguments+=("$a")
			last=$a
		done
		exec "$(dirname "$0")/real-trtgo" "${arguments[@]}"
	SHELL
	cat >"$bin/run.py" <<-'PYTHON'
		import csv, json, os, sys
		value = lambda flag: sys.argv[sys.argv.index(flag) + 1]
		with open(os.environ["REFERENCE"]) as f:
		    known = {tuple(s["input_ids"]): s["output_ids"] for s in json.load(f)["sequences"]}
		with open(value("--input_file")) as f, open(value("--output_csv"), "w") as out:
		    csv.writer(out).writerows(row + known[tuple(map(int, row))] for row in csv.reader(f))
	PYTHON
	chmod +x "$bin"/*
	"$bin/real-trtgo" export "$model" --dtype float32 --output_dir "$dir/checkpoint" 2>/dev/null
	"$bin/real-trtgo" build --backend tensorrt-llm --checkpoint_dir "$dir/checkpoint" --network_only "$dir/network.json" --max_batch_size 8 --max_input_len 512 \
		--max_seq_len 544 --max_num_tokens 2048 --gpt_attention_plugin float32 --gemm_plugin float32 --quiet
	as_if() {
		PATH=$bin:$PATH PYTHONPATH=$PWD/docker/verify/fakes FAKE_NETWORK=$dir/network.json REFERENCE=$dir/reference.json RUN_PY=$bin/run.py ROOT=$dir/tree SLOW_MARK=$dir/slow \
			docker/verify.sh "$model" "${options[@]}" "$@" 2>&1
	}
	as_if --out "$dir/report-gpu" >"$dir/table" || fail "verify.sh fails with stand-ins: $(cat "$dir/table" "$dir/report-gpu/report.md")"
	if grep -q '  skipped ' "$dir/table"; then fail "verify.sh left out steps: $(cat "$dir/table")"; fi
	if grep -q 'GPU-1234' "$dir/report-gpu/report.json"; then fail "the report has serial numbers in it"; fi
	# One field of one layer differs, and then one program fails: the rest is tried all the same.
	sed -i '0,/"name": "num_kv_heads"/s//"name": "num_kv_head"/' "$dir/network.json"
	as_if --out "$dir/report-differs" >"$dir/table" && fail "verify.sh finds no difference between networks that differ"
	table 'networks compared  *failed' 'two processes against transformers  *ok'
	grep -q 'field num_kv_heads: only ours has it' "$dir/report-differs/report.md"
	FAILING=build as_if --out "$dir/report-fails" >"$dir/table" && fail "verify.sh takes a failing build for success"
	table 'engine of trtgo  *failed .*exit status 7' "run trtgo's engine  *skipped" 'engine of trtllm-build  *ok'
	[ -s "$dir/report-fails.tar.gz" ] || fail "verify.sh leaves no archive after a failure"

	# An interrupt ends the step that runs, and all that was found until then is in the report.
	set -m
	SLOW=build as_if --out "$dir/report-interrupted" >"$dir/table" &
	local pid=$!
	set +m
	while kill -0 "$pid" 2>/dev/null && [ ! -e "$dir/slow" ]; do sleep 0.1; done
	kill -INT -- "-$pid"
	wait "$pid" && fail "verify.sh ends well though it was interrupted"
	table 'export  *ok' 'network of trtgo  *failed' 'report to attach'
	[ -s "$dir/report-interrupted.tar.gz" ] || fail "verify.sh leaves no archive after an interrupt: $(cat "$dir/table")"

	refused "is not empty" docker/verify.sh "$model" --out "$dir/report-fails"
	refused "is not there" docker/verify.sh "$dir/no-such-model" --out "$dir/none"
	refused "verify.sh MODEL_DIR" docker/verify.sh
	refused "verify.sh MODEL_DIR" docker/verify.sh "$model" --backend gpu
}

step "Dockerfiles and their scripts"
dockerfiles
step "the CPU image"
cpu_image
step "the scripts of the images"
small_scripts
install_go
step "libraries out of a tree like NVIDIA's image"
go test -count=1 ./docker/...
native_library
step "what a user runs in the image"
python3 -m unittest discover -q -s docker/verify
verify_script
step "all is well"
