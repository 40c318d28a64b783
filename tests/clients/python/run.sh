#!/usr/bin/env bash
# Runs a program of this folder: makes a virtual environment and the stubs if need be, then calls the program with
# the arguments given (`behaviour.py --address unix:/path`, `near_test.py stories --vedetta ... --redis ...`).
#
# Invariants: everything made lands under target/clients/python; a second run makes nothing again unless
# requirements.txt or a proto changed; parallel runs wait for each other while making.
#
# Not here: starting a server; tests/it/python.rs and tests/it/l0.rs do that.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
made="${CARGO_TARGET_DIR:-$root/target}/clients/python"
mkdir -p "$made"

# Runs a command unless it already ran with the same text under the same name.
once() { # name, fingerprint, command...
  local stamp="$made/$1.stamp" fingerprint=$2
  shift 2
  if [[ ! -f $stamp || $(<"$stamp") != "$fingerprint" ]]; then
    rm -f "$stamp"
    "$@" >&2
    # Last, so that an interrupted attempt is made again.
    printf '%s' "$fingerprint" >"$stamp"
  fi
}

make_environment() {
  rm -rf "$made/venv"
  python3 -m venv "$made/venv"
  "$made/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
}

make_stubs() {
  rm -rf "$made/stubs"
  mkdir -p "$made/stubs"
  "$made/venv/bin/python" -m grpc_tools.protoc -I "$root/proto" \
    --python_out="$made/stubs" --grpc_python_out="$made/stubs" "${protos[@]}"
}

exec 9>"$made/lock"
flock 9
requirements=$(python3 --version; cat "$here/requirements.txt")
mapfile -t protos < <(cd "$root/proto" && find vedetta -name '*.proto' | LC_ALL=C sort)
once venv "$(sha256sum <<<"$requirements")" make_environment
once stubs "$(cd "$root/proto" && sha256sum "${protos[@]}"; sha256sum <<<"$requirements")" make_stubs
flock -u 9
exec 9>&-

export PYTHONPATH="$made/stubs" PYTHONDONTWRITEBYTECODE=1
exec "$made/venv/bin/python" "$here/$1" "${@:2}"
