#!/bin/sh
# Let Galaxy find the packages of the dna_lm tools in a virtual environment: packages_from_venv.sh VENV FOLDER
# Writes FOLDER/PACKAGE/VERSION/env.sh, which Galaxy's dependency resolver `galaxy_packages` sources in each job.
set -eu
venv=$(cd "$1" && pwd)
[ -f "$venv/bin/activate" ] || { echo "error: $venv is no virtual environment" >&2; exit 1; }
# The wrappers have conda's names. One of them asks for nothing but a Python.
packages=$(sed -nE 's/^torch=/pytorch=/; s|==|/|p' "$(dirname "$0")/../../requirements.txt")
for package in python/3.11 $packages; do
    mkdir -p "$2/$package"
    # A PYTHONPATH would put Galaxy's modules before the tools'.
    echo ". '$venv/bin/activate'; unset PYTHONPATH" > "$2/$package/env.sh"
done
