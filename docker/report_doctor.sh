#!/usr/bin/env bash
# Says what trtgo finds in the image while it is built. Where images are built there is mostly no GPU and no driver, so that problems
# are told and fail nothing; in the running container `trtgo doctor --backend tensorrt-llm` has the last word.
set -uo pipefail
trtgo=${TRTGO:-trtgo}
"$trtgo" --version || exit 1 # a command that does not start is no matter of GPUs
"$trtgo" doctor --backend tensorrt-llm && exit 0
echo "report_doctor: what is told above about the driver and GPUs is as it must be where there are none; the rest is to be repaired" >&2
