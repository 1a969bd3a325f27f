#!/usr/bin/env bash
# Vets every platform of docs/compatibility.md. Without a cross compiler the
# foreign ones are built without cgo, as their users would without a compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
go vet ./...
for platform in linux/amd64 linux/arm64 darwin/arm64 windows/amd64; do
	echo "vet $platform without cgo"
	CGO_ENABLED=0 GOOS=${platform%/*} GOARCH=${platform#*/} go vet ./...
done
