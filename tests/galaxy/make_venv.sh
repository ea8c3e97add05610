#!/usr/bin/env bash
# Build one of the project's virtual environments: make_venv.sh tools|galaxy|planemo|pulsar|toolshed|browser|bench
# The environments are several because their dependencies exclude each other, and because a tool must not find
# anything that its wrapper does not require.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=$1

for python in "${PYTHON:-}" python3.11 python3; do
    [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && break
    python=
done
[ -n "$python" ] || { echo "error: Python 3.11 is needed (python3.11 or python3 on PATH, or PYTHON=...)" >&2; exit 1; }
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    { echo "error: $python has no venv module: apt-get install python3.11-venv" >&2; exit 1; }

export PIP_DISABLE_PIP_VERSION_CHECK=1
new_venv() { rm -rf ".venv/$1"; "$python" -m venv ".venv/$1"; }

# pip everywhere but for the two big trees of pure-Python packages, where uv takes seconds instead of minutes.
need_uv() {
    [ -x .venv/uv/bin/python ] || new_venv uv
    .venv/uv/bin/python -m pip install --quiet uv==0.13.9
}
uv_venv() {
    .venv/uv/bin/uv venv --quiet --clear --no-config --python "$python" ".venv/$1"
    # The system's certificates, as pip has them: a company's proxy may sign with one of its own.
    .venv/uv/bin/uv pip install --quiet --no-config --system-certs --python ".venv/$1" -r "tests/galaxy/requirements-$1.txt" "${@:2}"
}

echo "building .venv/$name with $("$python" --version), which can take some minutes"
case $name in
tools)
    new_venv tools
    .venv/tools/bin/python -m pip install --quiet -r requirements.txt -r tests/requirements.txt
    ;;
bench)
    new_venv bench
    .venv/bench/bin/python -m pip install --quiet -r benchmarks/requirements.txt
    .venv/bench/bin/python -m pip install --quiet --no-deps -r benchmarks/rivals.txt
    ;;
planemo | pulsar | browser)
    need_uv
    uv_venv "$name"
    ;;
galaxy | toolshed)
    need_uv
    version=$(sed -n 's/^galaxy-app==//p' "tests/galaxy/requirements-$name.txt")
    constraints=$(mktemp)
    trap 'rm -f "$constraints"' EXIT
    .venv/uv/bin/python tests/galaxy/galaxy_constraints.py "$version" > "$constraints"
    uv_venv "$name" --constraints "$constraints"
    ;;
*)
    echo "usage: make_venv.sh tools|galaxy|planemo|pulsar|toolshed|browser|bench" >&2
    exit 2
    ;;
esac
touch ".venv/$name/.built"
