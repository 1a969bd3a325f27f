#!/usr/bin/env bash
# Copies trtgo, TensorRT-LLM's libraries and all that these need into the directory given, which is laid over a base image:
#   collect_libraries.sh DIRECTORY
# What is copied, and why, is in libraries.list beside this. ROOT is the tree that is copied from, LIST another list.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
directory=$(realpath -m "${1:?usage: collect_libraries.sh DIRECTORY}")
list=$(realpath -m "${LIST:-$here/libraries.list}")
cd "$here/.."
go run ./docker/collect --root "${ROOT:-/}" --list "$list" --target "$directory" --loader-config /etc/ld.so.conf.d/trtgo.conf
