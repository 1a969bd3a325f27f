#!/usr/bin/env bash
# Fetches what checking the TensorRT network needs into the directory given, unless it is there already:
#   libtensorrt_rtx.so.1   TensorRT-RTX's compiler, out of the Python package tensorrt_rtx_cu13_libs. It runs without a GPU;
#                          NVIDIA's licence lets nobody pass it on, so it is never committed
#   headers/               headers of TensorRT 11.4 and TensorRT-RTX 1.7 (Apache-2.0), out of the Rust crate trtx-sys, with its
#                          cuda_runtime_api.h of two opaque types: no CUDA toolkit is needed
# Both come from their public registries and must have the checksums below. Nothing is kept of a download that failed.
set -euo pipefail
target=$1
library_package=tensorrt_rtx_cu13_libs==1.7.1.116
library_sha256=a74fa3974f1892b65a53b06a14ffcb15758ac51c12135ada84490f53f67e1051 # of the .so
crate=trtx-sys
crate_version=0.9.1+rtx1.7
crate_sha256=5480ee056292951daa1bc74532162d6cb75190f091e45d7d97c0c356916ae171
header_sets=(TRT-Enterprise-11.4 TRT-RTX-1.7)

checksum() { echo "$1  $2" | sha256sum -c --quiet - >/dev/null 2>&1; }

if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
	echo "fetch_tensorrt: TensorRT-RTX's compiler exists for Linux on x86-64 only, this is $(uname -s) on $(uname -m)" >&2
	exit 1
fi
mkdir -p "$target"
dir=$(mktemp -d "$target/.fetch.XXXXXX")
trap 'rm -rf "$dir"' EXIT

library=$target/libtensorrt_rtx.so.1
if ! checksum "$library_sha256" "$library"; then
	echo "Fetching TensorRT-RTX's compiler (95 MB) with pip ..." >&2
	if ! python3 -m pip download -q --no-deps --disable-pip-version-check -d "$dir" "$library_package"; then
		echo "fetch_tensorrt: pip has no $library_package here" >&2
		exit 1
	fi
	python3 - "$dir"/*.whl "$dir/library" <<-'PYTHON'
		import shutil, sys, zipfile
		with zipfile.ZipFile(sys.argv[1]) as wheel:
		    name = next(n for n in wheel.namelist() if n.endswith("/libtensorrt_rtx.so.1"))
		    with wheel.open(name) as source, open(sys.argv[2], "wb") as copy:
		        shutil.copyfileobj(source, copy, 1 << 20)
	PYTHON
	checksum "$library_sha256" "$dir/library" || { echo "fetch_tensorrt: the library in $library_package has another checksum than $library_sha256" >&2; exit 1; }
	mv "$dir/library" "$library"
fi

# A crate is a tar file; where it lies, the registry's index says.
if [ "$(cat "$target/headers/SHA256" 2>/dev/null)" != "$crate_sha256" ]; then
	echo "Fetching the TensorRT headers (1 MB) from the registry of crates ..." >&2
	if ! python3 - "$crate" "$crate_version" "$dir/crate.tar.gz" <<-'PYTHON'
		import json, sys, urllib.request
		name, version, path = sys.argv[1:]
		def get(url):
		    with urllib.request.urlopen(urllib.request.Request(url, headers={"User-Agent": "trtgo (fetch_tensorrt.sh)"}), timeout=120) as answer:
		        return answer.read()
		try:
		    where = json.loads(get("https://index.crates.io/config.json"))["dl"]
		    data = get(f"{where}/{name}/{version}/download")
		except (OSError, ValueError, KeyError) as failure:
		    sys.exit(f"fetch_tensorrt: the registry of crates did not give {name} {version}: {failure}")
		with open(path, "wb") as f:
		    f.write(data)
	PYTHON
	then
		exit 1
	fi
	checksum "$crate_sha256" "$dir/crate.tar.gz" || { echo "fetch_tensorrt: $crate $crate_version has another checksum than $crate_sha256" >&2; exit 1; }
	tar -xzf "$dir/crate.tar.gz" -C "$dir"
	mkdir "$dir/headers"
	for part in "${header_sets[@]}" cuda_runtime_api.h; do
		mv "$dir/$crate-$crate_version/TensorRT-Headers/$part" "$dir/headers/"
	done
	echo "$crate_sha256" >"$dir/headers/SHA256"
	rm -rf "$target/headers"
	mv "$dir/headers" "$target/headers"
fi
