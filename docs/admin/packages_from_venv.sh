#!/bin/sh
# Let Galaxy find the packages of the dna_lm tools in a virtual environment: packages_from_venv.sh VENV FOLDER
# Writes FOLDER/PACKAGE/VERSION/env.sh, which Galaxy's dependency resolver `galaxy_packages` sources in each job.
set -eu
venv=$(cd "$1" && pwd)
requirements=$(dirname "$0")/../../requirements.txt
# The wrappers have conda's names. One of them asks for nothing but a Python.
for package in python/3.11 $(sed -nE 's/^torch=/pytorch=/; s|==|/|p' "$requirements"); do
    mkdir -p "$2/$package"
    # A PYTHONPATH would put Galaxy's modules before the tools'.
    echo ". '$venv/bin/activate'; unset PYTHONPATH" > "$2/$package/env.sh"
done
