#!/usr/bin/env bash
# Lint Python code, wrappers, Tool Shed repositories, workflows and CITATION.cff; any warning fails. Nothing is looked up
# in the network.
set -euo pipefail
cd "$(dirname "$0")/../.."

.venv/tools/bin/ruff check .
.venv/tools/bin/ruff format --check .
.venv/planemo/bin/planemo lint --report_level warn --fail_level warn \
    tools data_managers/data_manager_dna_lm/data_manager
# version_bumped would ask the public Tool Shed which versions it has.
for repository in . data_managers/data_manager_dna_lm; do
    .venv/planemo/bin/planemo shed_lint --report_level warn --fail_level warn \
        --tools --ensure_metadata --skip version_bumped "$repository"
done
for workflow in workflows/*; do
    .venv/planemo/bin/planemo workflow_lint --iwc --report_level warn --fail_level warn "$workflow"
done
.venv/planemo/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yaml
.venv/planemo/bin/check-jsonschema --quiet --builtin-schema vendor.citation-file-format --default-filetype yaml CITATION.cff
