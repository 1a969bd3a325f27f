#!/usr/bin/env bash
# Installs the command the way `go install …/cmd/trtgo@version` does: from a module
# zip of the committed tree, served by a file proxy, with no access to the sources.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
# A version of its own for each commit: Go indexes a module by its version's directory
# and takes that index for final, so one name for two contents finds the old packages.
version=v0.0.0-ci.g$(git rev-parse --short=12 HEAD)
go run ./scripts/modulezip "$dir/proxy" "$version"
GOPROXY="file://$dir/proxy,$(go env GOPROXY)" GONOSUMDB=github.com/trtgo GOFLAGS=-modcacherw \
	GOBIN="$dir/bin" go install github.com/trtgo/trtgo/cmd/trtgo@"$version"
"$dir/bin/trtgo" --version
# The module cache keeps nothing of it.
chmod -R u+w "$(go env GOMODCACHE)"/github.com/trtgo "$(go env GOMODCACHE)"/cache/download/github.com/trtgo
rm -rf "$(go env GOMODCACHE)"/github.com/trtgo "$(go env GOMODCACHE)"/cache/download/github.com/trtgo
