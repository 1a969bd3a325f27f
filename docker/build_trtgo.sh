#!/usr/bin/env bash
# Builds the command of the source tree in the working directory to the file given:
#   build_trtgo.sh FILE
# VERSION is what `trtgo --version` is to say, else Go's own word. Needs Go and a C++17 compiler.
set -euo pipefail
file=${1:?usage: build_trtgo.sh FILE}
flags="-s -w"
if [ -n "${VERSION:-}" ]; then flags+=" -X main.version=$VERSION"; fi
mkdir -p "$(dirname "$file")"
# No history of git is in a build of Docker, and none is asked for.
CGO_ENABLED=1 go build -trimpath -buildvcs=false -ldflags "$flags" -o "$file" ./cmd/trtgo
"$file" --version
