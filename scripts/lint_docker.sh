#!/usr/bin/env bash
# Lints every shell script and every Dockerfile of the repository with shellcheck and hadolint, which pip fetches to
# out/tools/lint. A linter that finds nothing in a bad file proves nothing, so each is first given one.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/out/tools/lint
requirements=scripts/lint_requirements.txt

if ! cmp -s "$requirements" "$tools/requirements.txt"; then
	rm -rf "$tools"
	arguments=(--no-deps --require-hashes -r "$requirements")
	if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then # the checksums are of those wheels
		mapfile -t arguments < <(sed -nE 's/^([a-z-]+==[0-9.]+).*/\1/p' "$requirements")
		arguments=(--no-deps "${arguments[@]}")
	fi
	if ! python3 -m pip install -q --disable-pip-version-check --target "$tools" "${arguments[@]}"; then
		echo "lint_docker: pip does not have the linters of $requirements here: NO SCRIPT AND NO DOCKERFILE WAS LINTED" >&2
		exit 1
	fi
	cp "$requirements" "$tools/"
	mv "$tools/$(basename "$requirements")" "$tools/requirements.txt"
fi
shellcheck=$tools/bin/shellcheck hadolint=$tools/bin/hadolint

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# shellcheck disable=SC2016 # the mistake is what it is for
printf '#!/bin/sh\nrm -rf $1/bin\n' >"$dir/canary.sh"
printf 'FROM ubuntu\nRUN cd /tmp && apt-get install gcc\n' >"$dir/Dockerfile"
if "$shellcheck" "$dir/canary.sh" >/dev/null || "$hadolint" --config .hadolint.yaml "$dir/Dockerfile" >/dev/null; then
	echo "lint_docker: a linter passes a file that is full of mistakes" >&2
	exit 1
fi

# Scripts are what says so in its first line, wherever it lies.
mapfile -t files < <(git ls-files --cached --others --exclude-standard)
scripts=()
dockerfiles=()
for f in "${files[@]}"; do
	[ -f "$f" ] || continue
	case "$f" in
	*/testdata/*) continue ;;
	*Dockerfile*) case "$f" in *.dockerignore) ;; *) dockerfiles+=("$f") ;; esac ;;
	*.sh) scripts+=("$f") ;;
	*.*) ;;
	*) if head -c 64 "$f" | head -n 1 | grep -qaE '^#!.*[/ ](ba|da|k)?sh( |$)'; then scripts+=("$f"); fi ;;
	esac
done
case " ${scripts[*]} " in *" .ci/run "*) ;; *) scripts+=(.ci/run) ;; esac
[ "${#dockerfiles[@]}" -gt 0 ] || { echo "lint_docker: no Dockerfile was found" >&2; exit 1; }
"$shellcheck" --external-sources --source-path=SCRIPTDIR "${scripts[@]}"
"$hadolint" --config .hadolint.yaml "${dockerfiles[@]}"
echo "lint_docker: ${#scripts[@]} scripts, ${#dockerfiles[@]} Dockerfiles"
