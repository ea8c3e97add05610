#!/bin/sh
# The command `dna_lm` of the image: `dna_lm --version` prints versions and devices, `dna_lm NAME ...` starts the script NAME.
set -eu
name=${1:---version}
[ "$#" = 0 ] || shift
case $name in
--version) set -- --devices; name=versions ;;
*) [ -f "/opt/dna_lm/scripts/$name.py" ] || { echo "error: the suite has no script $name" >&2; exit 2; } ;;
esac
exec python "/opt/dna_lm/scripts/$name.py" "$@"
