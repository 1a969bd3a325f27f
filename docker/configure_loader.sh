#!/usr/bin/env bash
# Tells the dynamic loader where TensorRT-LLM's image keeps its libraries. The image says so itself in LD_LIBRARY_PATH, but only
# to programs that a shell of its own starts (/etc/shinit_v2); trtgo has to find them wherever it is started from.
#   configure_loader.sh
# Directories are added only for libraries that the loader does not find already. ROOT is a tree that stands for the image, LDCONFIG
# the command of it.
set -euo pipefail
root=${ROOT:-}
ldconfig=${LDCONFIG:-ldconfig}
conf=$root/etc/ld.so.conf.d/trtgo.conf
known=$("$ldconfig" -p)

# The first directory that has the library.
add() {
	local library=$1 directory
	shift
	if grep -q "^[[:space:]]*$library " <<<"$known"; then return; fi
	for directory in "$@"; do
		if [ -e "$directory/$library" ]; then
			echo "${directory#"$root"}" >>"$conf"
			echo "configure_loader: $library in ${directory#"$root"}"
			return
		fi
	done
	echo "configure_loader: $library is nowhere that is known" >&2
}

mkdir -p "$(dirname "$conf")"
: >"$conf"
add libnvinfer.so.10 "$root"/usr/local/tensorrt/lib "$root"/usr/lib/*-linux-gnu
add libtensorrt_llm.so "$root"/app/tensorrt_llm/lib "$root"/usr/local/lib/python3*/dist-packages/tensorrt_llm/libs
add libc10.so "$root"/usr/local/lib/python3*/dist-packages/torch/lib
add libmpi.so.40 "$root"/opt/hpcx/ompi/lib "$root"/usr/local/mpi/lib "$root"/usr/lib/*-linux-gnu/openmpi/lib
add libcublas.so.13 "$root"/usr/local/cuda/lib64
add libnccl.so.2 "$root"/usr/lib/*-linux-gnu "$root"/usr/local/lib/python3*/dist-packages/nvidia/nccl/lib
"$ldconfig"
