#!/usr/bin/env bash
# Build one of the project's virtual environments from its lock:
# make_venv.sh tools|galaxy|planemo|pulsar|toolshed|bench|uv
# TORCH=cuda and TORCH=cpu choose a build of PyTorch. Without it that for the CPU is taken if pip finds it.
# The environments are several because their dependencies exclude each other, and because a tool must not find
# anything that its wrapper does not require.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
venv=.venv/$name
locks=environments/locks
[ -f "$locks/$name.txt" ] || { echo "error: $locks has no $name.txt" >&2; exit 2; }

candidates=("${PYTHON:-python3}")
[ -n "${PYTHON:-}" ] || candidates+=(python3.13 python3.12 python3.11)
usable='import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
for python in "${candidates[@]}"; do
    "$python" -c "$usable" 2>/dev/null && break
    python=
done
[ -n "$python" ] || {
    echo "error: ${candidates[*]}: no Python 3.11, 3.12 or 3.13 with its module venv." \
        "On Debian or Ubuntu, apt-get install python3 python3-venv; or name one that is elsewhere: PYTHON=/path/of/python3" >&2
    exit 1
}

echo "building $venv with $("$python" --version), which can take some minutes"
rm -rf "$venv"
hashed=(--require-hashes --no-deps)
pip_install() { "$venv/bin/python" -m pip install --disable-pip-version-check --quiet "${hashed[@]}" -r "$locks/$1.txt"; }
case $name in
tools | bench | uv)
    # pip, because its configuration may name an index or a folder that has PyTorch for the CPU.
    "$python" -m venv "$venv"
    pip_install "$name"
    case $name:${TORCH:-auto} in
    uv:*) ;;
    *:auto)
        pip_install torch-cpu 2>/dev/null || {
            echo "pip is not set up to find PyTorch for the CPU: PyPI's comes with CUDA, about 3 GB"
            pip_install torch-cuda
        }
        ;;
    *) pip_install "torch-$TORCH" ;;
    esac
    ;;
*)
    # uv, which installs three hundred packages in seconds instead of minutes.
    [ -x .venv/uv/bin/uv ] || "$0" uv
    .venv/uv/bin/uv venv --quiet --no-config --python "$python" "$venv"
    # The system's certificates, as pip has them: a company's proxy may sign with one of its own.
    .venv/uv/bin/uv pip install --quiet --no-config --system-certs --python "$venv" "${hashed[@]}" \
        --build-constraints "$locks/build.txt" -r "$locks/$name.txt"
    ;;
esac
touch "$venv/.built"
