#!/usr/bin/env bash
# Chromium from Debian: installed when it is missing and that is allowed, else one line says what is missing.
set -euo pipefail

! command -v chromium >/dev/null || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: no chromium here: as root, apt-get install chromium" >&2
    exit 1
fi
echo "installing chromium"
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install --yes --no-install-recommends chromium fonts-dejavu-core; } >/dev/null 2>&1 ||
    { echo "error: apt-get install chromium failed" >&2; exit 1; }
