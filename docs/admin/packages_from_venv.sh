#!/bin/sh
# Let Galaxy find the packages of the dna_lm tools in a virtual environment: packages_from_venv.sh VENV FOLDER
# Writes FOLDER/PACKAGE/VERSION/env.sh, which Galaxy's dependency resolver `galaxy_packages` sources in each job.
set -eu
venv=$(cd "$1" && pwd)
[ -f "$venv/bin/activate" ] || { echo "error: $venv is not a virtual environment" >&2; exit 1; }
# The wrappers require packages under conda's names, and the Python that conda has all of them for. The environment's own
# Python takes its place.
python=$(sed -nE 's|.*version="([^"]+)">python<.*|python/\1|p' "$(dirname "$0")/../../tools/macros.xml")
packages=$(sed -nE 's/^torch=/pytorch=/; s|==|/|p' "$(dirname "$0")/../../requirements.txt")
for package in $python $packages; do
    mkdir -p "$2/$package"
    # A PYTHONPATH would put Galaxy's modules before the tools'.
    echo ". '$venv/bin/activate'; unset PYTHONPATH" > "$2/$package/env.sh"
done
