#!/usr/bin/env bash
# Lint Python code, wrappers and the Tool Shed repository; any warning fails. Nothing is looked up in the network.
set -euo pipefail
cd "$(dirname "$0")/../.."

.venv/tools/bin/ruff check .
.venv/tools/bin/ruff format --check .

# planemo prints every check that went well: show what it says only where something did not.
planemo() {
    local output
    output=$(.venv/planemo/bin/planemo "$@" 2>&1) || { printf '%s\n' "$output" >&2; return 1; }
    echo "planemo $1: no warnings"
}
planemo lint --fail_level warn tools
# version_bumped would ask the public Tool Shed which versions it has.
planemo shed_lint --fail_level warn --tools --ensure_metadata --skip version_bumped .
