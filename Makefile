# The two commands: `make demo` shows the whole road on a real model, `make test`
# runs everything that CI runs. Both install what they need (INSTALL=yes|no
# answers without asking).

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test build unit race asan tsan native arm64 lint fuzz module soak verify-tensorrt verify-tensorrt-all verify-executor verify-docker verify-tokenizers verify-templates bench-tokenizers format model bench bench-kernels bench-peers bench-export bench-build bench-executor clean

# A Go that setup had to fetch lies here and wins over an older one.
export PATH := $(CURDIR)/out/tools/go/bin:$(CURDIR)/out/tools/bin:$(PATH)
export GOTOOLCHAIN := local

MODEL_GGUF := models/SmolLM2-135M-Instruct.Q4_1.gguf
GOLANGCI_LINT_VERSION := v2.12.2
FUZZ_TIME := 3s
SOAK_TIME := 10m

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: ## check for Go, a C++17 compiler and pip; install what is missing
	@scripts/setup.sh $(SETUP)

build: setup ## the command, out/bin/trtgo
	go build -trimpath -o out/bin/trtgo ./cmd/trtgo

demo: build ## export, build and run a real model; MODEL=path for your own
	@scripts/demo.sh

model: $(MODEL_GGUF) ## fetch the model of the demo and the tests

$(MODEL_GGUF):
	@scripts/fetch_model.sh $(MODEL_GGUF)

test: SETUP ?= ci
test: setup lint unit race asan tsan native arm64 verify-tensorrt verify-executor verify-docker fuzz module ## everything that CI runs

unit: $(MODEL_GGUF)
	TRTGO_REQUIRE_MODELS=1 go test ./...

# A program under the race detector waits a second before it ends: the command's scripts start hundreds of them.
race: export GORACE = atexit_sleep_ms=50
race:
	go test -race -short ./...
	$(MAKE) soak SOAK_TIME=60s

soak: ## random load on the executors for SOAK_TIME, with the race detector
	TRTGO_SOAK_TIME=$(SOAK_TIME) go test -race -count=1 -timeout 2h -run Soak -v ./internal/inflight ./trtllm

# Go's -asan instruments Go alone: the C++ needs its own flag. The canary reads
# beyond a C++ buffer and must be caught, otherwise the run proves nothing.
asan:
	@scripts/sanitize.sh address

tsan:
	@scripts/sanitize.sh thread

native: ## C++ with all warnings as errors, drivers under UBSan
	cmake --preset sanitize
	cmake --build --preset sanitize
	ctest --preset sanitize

arm64: ## the kernels of AArch64, under qemu-user on other machines
	@scripts/test_arm64.sh

# A cache of this checkout's own: findings that another checkout left name files that are gone.
lint: export GOLANGCI_LINT_CACHE = $(CURDIR)/out/cache/golangci-lint
lint: out/tools/bin/golangci-lint
	test -z "$$(gofmt -l . | tee /dev/stderr)"
	golangci-lint run
	@scripts/lint_docker.sh
	@scripts/vet_platforms.sh

out/tools/bin/golangci-lint:
	GOBIN=$(CURDIR)/out/tools/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

fuzz: ## every fuzz target for FUZZ_TIME
	@scripts/fuzz.sh $(FUZZ_TIME)

module: ## the module zip installs as a user would install it
	@scripts/module_install.sh

verify-tensorrt: ## the TensorRT network by TensorRT-RTX's compiler and the shim by a stand-in, without a GPU
	@scripts/verify_tensorrt.sh

verify-tensorrt-all: ## the same with every combination of form, family, dtype, quantisation and rank
	@scripts/verify_tensorrt.sh all

verify-executor: ## the executor half of the shim over a stand-in for TensorRT-LLM, under sanitizers too
	@scripts/verify_executor.sh

verify-docker: ## what docker/ runs, against scratch directories
	@scripts/verify_docker.sh

verify-tokenizers: build $(MODEL_GGUF) ## real tokenizers against the official libraries; TOKENIZERS_FUZZ=5m for more
	@scripts/verify_tokenizers.sh

bench-tokenizers: build $(MODEL_GGUF) ## the same tokenizers' speed beside the libraries'
	@scripts/verify_tokenizers.sh speed

verify-templates: ## chat templates of some 75 models against transformers, which it installs (200 MB); not part of test
	@scripts/verify_templates.sh

format:
	gofmt -w $$(git ls-files '*.go')
	clang-format -i $$(git ls-files '*.cc' '*.h')

bench: build $(MODEL_GGUF) ## the CPU engine against this machine's limits, tables and picture in docs (BENCH_LAYERS=4 for less)
	go run ./scripts/benchcpu

bench-peers: build $(MODEL_GGUF) ## the CPU engine beside llama.cpp and transformers, which it builds (PEERS_ROUNDS=1 for less)
	go run ./scripts/benchpeers

bench-kernels: setup ## the CPU engine's kernels one by one
	go test -run '^$$' -bench . ./csrc/cpu

bench-export: build ## export against cp, 16.5 GB in each form (BENCH_SCALE=8 for less)
	go run ./scripts/benchexport export

bench-build: build ## build of a CPU engine against cp, in the 8B shape (BENCH_SCALE=8 for less)
	go run ./scripts/benchexport build

bench-executor: setup $(MODEL_GGUF) ## what the executor costs beside the steps (BENCH_LAYERS=32 for all of the 4B shape)
	TRTGO_REQUIRE_MODELS=1 BENCH_OUTPUT=$(CURDIR)/docs/benchmarks.md go test -run '^$$' -bench BenchmarkExecutor -benchtime 1x -timeout 60m ./trtllm

clean:
	rm -rf out
