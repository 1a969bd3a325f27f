#!/usr/bin/env bash
# Installs Go to PREFIX/go: install_go.sh [PREFIX], /usr/local without one.
# It comes from Go's module proxy as a toolchain module, with a pinned checksum. GO_URL and GO_SHA256 name another archive, such as
# one of go.dev/dl on a mirror, or file:///…: a .zip or .tar.gz that has bin/go in it somewhere.
set -euo pipefail
prefix=${1:-/usr/local}
version=1.26.8

case "$(uname -m)" in
x86_64) arch=amd64 sha256=30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7 ;;
aarch64) arch=arm64 sha256=02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99 ;;
*) echo "install_go: there is no checksum here for Go on $(uname -m): set GO_URL and GO_SHA256" >&2; exit 1 ;;
esac
url=${GO_URL:-https://proxy.golang.org/golang.org/toolchain/@v/v0.0.1-go$version.linux-$arch.zip}
if [ -n "${GO_URL:-}" ]; then
	sha256=${GO_SHA256:?install_go: GO_URL needs GO_SHA256, the checksum of its archive}
fi
if [ -e "$prefix/go" ]; then
	echo "install_go: $prefix/go is there already: remove it, or name another prefix" >&2
	exit 1
fi
mkdir -p "$prefix"
dir=$(mktemp -d "$prefix/.install_go.XXXXXX")
trap 'rm -rf "$dir"' EXIT
archive=$dir/${url##*/}

fetch() {
	case "$url" in
	file://*) cp "${url#file://}" "$archive" ;;
	*)
		if command -v curl >/dev/null; then
			curl -fsSL --retry 3 -o "$archive" "$url"
		elif command -v wget >/dev/null; then
			wget -q -O "$archive" "$url"
		else
			echo "install_go: neither curl nor wget is here" >&2
			return 1
		fi
		;;
	esac
}
fetch || { echo "install_go: $url could not be fetched: GO_URL and GO_SHA256 name another archive" >&2; exit 1; }
got=$(sha256sum "$archive" | cut -d ' ' -f 1)
if [ "$got" != "$sha256" ]; then
	echo "install_go: $url has the checksum $got, want $sha256: it is another archive, or damaged" >&2
	exit 1
fi
mkdir "$dir/unpacked"
case "$archive" in
*.zip)
	if command -v unzip >/dev/null; then
		unzip -q "$archive" -d "$dir/unpacked"
	else
		python3 -m zipfile -e "$archive" "$dir/unpacked"
	fi
	;;
*.tar.gz) tar -xzf "$archive" -C "$dir/unpacked" --no-same-owner ;;
*) echo "install_go: $url is neither a .zip nor a .tar.gz" >&2; exit 1 ;;
esac
go=$(find "$dir/unpacked" -path '*/bin/go' -type f | head -n 1)
[ -n "$go" ] || { echo "install_go: $url has no bin/go in it" >&2; exit 1; }
root=$(dirname "$(dirname "$go")")
# Archives of modules keep no execute bits.
chmod +x "$root"/bin/*
if [ -d "$root/pkg/tool" ]; then find "$root/pkg/tool" -type f -exec chmod +x {} +; fi
mv "$root" "$prefix/go"
"$prefix/go/bin/go" version
