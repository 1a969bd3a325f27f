#!/usr/bin/env bash
# Starts a command with the environment that NVIDIA's image gives to its shells: its file (ENV, /etc/shinit_v2) puts the libraries of
# CUDA that are newer than the driver into LD_LIBRARY_PATH where that helps. It prints nothing: output belongs to the command.
if [ -n "${ENV:-}" ] && [ -r "$ENV" ]; then
	# shellcheck disable=SC1090 # a file of the image
	. "$ENV" >/dev/null
fi
if [ $# -eq 0 ]; then set -- trtgo --help; fi
exec "$@"
