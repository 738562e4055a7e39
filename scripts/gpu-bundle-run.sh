#!/usr/bin/env bash
# Runs the bundled owlet on a machine with an NVIDIA GPU: parity of f32, f16 and bf16 with f32 on
# the CPU, and benchmarks, on random checkpoints of the real sizes. Without a GPU it says so and
# fails nothing.
#
#   OUT=folder         where gpu-check.json is written; default out
#   MODELS="a b"       which models; default: one of each size
#   TORCH_LIB=folder   torch's lib folder; default: that of python3's torch
#   WORK=folder        where checkpoints are made for the time of the run (5 GB); default /tmp
set -euo pipefail
bundle=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${OUT:-out}
work=$(mktemp -d "${WORK:-${TMPDIR:-/tmp}}/owlet-gpu-check.XXXXXX")
models=${MODELS:-owlvit-base-patch32 owlvit-base-patch16 owlvit-large-patch14 owlv2-base-patch16-ensemble}

say() { printf 'gpu-check: %s\n' "$*"; }
trap 'rm -rf "$work"' EXIT
die() {
    printf 'gpu-check: %s\n' "$*" >&2
    exit 1
}
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

if ! { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }; then
    say 'this machine has no NVIDIA GPU: nothing was checked'
    exit 0
fi

# Filled in when the bundle is made: the newest versions that its files ask for.
glibc=$(getconf GNU_LIBC_VERSION | awk '{ print $2 }')
at_least "$glibc" @GLIBC@ || die "glibc @GLIBC@ or newer is needed, found $glibc: build the bundle on an older system"
libstdcxx=$(/sbin/ldconfig -p | awk '/libstdc\+\+\.so\.6 / { print $NF; exit }')
if [ -n "$libstdcxx" ] && ! grep -qaF GLIBCXX_@GLIBCXX@ "$libstdcxx"; then
    die "a libstdc++ with GLIBCXX_@GLIBCXX@ is needed, $libstdcxx is older: build the bundle on an older system"
fi

if [ -z "${TORCH_LIB:-}" ]; then
    # Found without importing it, which takes seconds.
    TORCH_LIB=$(python3 - <<'PYTHON'
import importlib.metadata, importlib.util, pathlib, sys
spec = importlib.util.find_spec("torch")
if spec is None:
    sys.exit("gpu-check: python3 has no torch")
version = importlib.metadata.version("torch").split("+")[0]
if version != "@TORCH_VERSION@":
    sys.exit(f"gpu-check: torch @TORCH_VERSION@ is needed, python3 has {version}")
print(pathlib.Path(spec.submodule_search_locations[0], "lib"))
PYTHON
    )
fi
export LD_LIBRARY_PATH=$bundle/lib:$TORCH_LIB${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
say "torch in $TORCH_LIB; $(nvidia-smi -L | head -n 1)"

mkdir -p "$out"
arguments=()
for model in $models; do
    "$bundle/owlet" random-model "$model" --out "$work/$model"
    arguments+=(--model "$work/$model")
done
"$bundle/owlet" check "${arguments[@]}" --device cuda:0 --json "$out/gpu-check.json"
say "the result is in $out/gpu-check.json"
