#!/usr/bin/env bash
# Installs the command the way `go install …/cmd/trtgo@version` does: from a module
# zip of the committed tree, served by a file proxy, with no access to the sources.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
go run ./scripts/modulezip "$dir/proxy" v0.0.0-ci
GOPROXY="file://$dir/proxy,$(go env GOPROXY)" GONOSUMDB=github.com/trtgo GOFLAGS=-modcacherw \
	GOBIN="$dir/bin" go install github.com/trtgo/trtgo/cmd/trtgo@v0.0.0-ci
"$dir/bin/trtgo" --version
# The next run must not find this one's version in the cache.
chmod -R u+w "$(go env GOMODCACHE)"/github.com/trtgo "$(go env GOMODCACHE)"/cache/download/github.com/trtgo
rm -rf "$(go env GOMODCACHE)"/github.com/trtgo "$(go env GOMODCACHE)"/cache/download/github.com/trtgo
