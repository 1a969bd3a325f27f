#!/usr/bin/env bash
# Adds the user trtgo, who has no rights but his own, with a home for caches and /work to start in.
set -euo pipefail
useradd --create-home --uid 10001 --shell /bin/bash trtgo
install -d -o trtgo -g trtgo /work
