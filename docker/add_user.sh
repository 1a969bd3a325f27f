#!/usr/bin/env bash
# Adds the user trtgo, who has no rights but his own, with a home for caches and /work to start in. ROOT is another tree than /.
set -euo pipefail
root=${ROOT:-}
id=10001 # as the Dockerfiles' USER
groupadd ${root:+--prefix "$root"} --gid "$id" trtgo
useradd ${root:+--prefix "$root"} --create-home --home-dir /home/trtgo --uid "$id" --gid "$id" --shell /bin/bash trtgo
install -d -o "$id" -g "$id" "$root/work"
