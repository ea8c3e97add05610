#!/usr/bin/env bash
# podman, runc and debootstrap from Debian: installed when they are missing and that is allowed, else one line says what is
# missing.
set -euo pipefail

missing=
for program in podman runc debootstrap; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: no$missing here: as root, apt-get install podman buildah runc debootstrap" >&2
    exit 1
fi
echo "installing podman, buildah, runc and debootstrap"
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install --yes --no-install-recommends podman buildah runc debootstrap; } >/dev/null 2>&1 ||
    { echo "error: apt-get install podman buildah runc debootstrap failed" >&2; exit 1; }
