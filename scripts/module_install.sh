#!/usr/bin/env bash
# Installs the command the way `go install …/cmd/trtgo@version` does: from a module
# zip of the committed tree, served by a file proxy, with no access to the sources.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
go run ./scripts/modulezip "$dir/proxy" v0.0.0-ci
GOPROXY="file://$dir/proxy,$(go env GOPROXY)" GONOSUMDB=github.com/trtgo GONOSUMCHECK=1 GOFLAGS=-mod=mod GONOSUMDB=github.com/trtgo/* \
	GOBIN="$dir/bin" GOMODCACHE="${MODULE_TEST_CACHE:-$(go env GOMODCACHE)}" \
	go install github.com/trtgo/trtgo/cmd/trtgo@v0.0.0-ci
"$dir/bin/trtgo" --version
