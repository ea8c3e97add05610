#!/usr/bin/env bash
# Slurm and Munge from Debian: installed when they are missing and that is allowed, else one line says what is missing.
set -euo pipefail

missing=
for program in munged slurmctld slurmd sbatch; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: no$missing here: as root, apt-get install slurm-wlm munge" >&2
    exit 1
fi
echo "installing slurm-wlm and munge"
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install --yes --no-install-recommends slurm-wlm munge; } >/dev/null 2>&1 ||
    { echo "error: apt-get install slurm-wlm munge failed" >&2; exit 1; }
