# Every environment is built below .venv/ when a target needs it, and again when its lock changes.
PORT ?= 8080
HOST ?= 127.0.0.1
TOOLS = .venv/tools/.built
GALAXY = .venv/galaxy/.built
PLANEMO = .venv/planemo/.built
BENCH = .venv/bench/.built
UV = .venv/uv/.built

.PHONY: help demo test unit test-tools test-tool serve bench lint lock clean distclean
.NOTPARALLEL:

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-14s %s\n", $$1, $$2}'

demo: $(TOOLS)  ## score the demo mutations with the demo model, compare the groups; results in demo-output/
	@.venv/tools/bin/python demo/run_demo.py

test: unit lint test-galaxy  ## unit tests, lint, wrappers and workflows in a real Galaxy

unit: $(TOOLS)  ## the unit tests; ARGS="tests/unit/test_x.py -k name" runs some
	@.venv/tools/bin/python -m pytest $(ARGS)

.PHONY: test-gpu
test-gpu: export TORCH ?= cuda
# The wrappers' jobs take the GPU by themselves: a Galaxy's local runner hands on DNA_LM_DEVICE.
test-gpu: $(TOOLS)  ## on a GPU: its scores next to the CPU's, memory that runs out, two jobs, unit tests, wrappers; fails without one
	@.venv/tools/bin/python tests/gpu/need_gpu.py
	@PYTHONPATH=tests/unit .venv/tools/bin/python -m pytest tests/gpu $(ARGS)
	@DNA_LM_DEVICE=cuda .venv/tools/bin/python -m pytest $(ARGS)
	@DNA_LM_DEVICE=cuda $(MAKE) test-tools

.PHONY: fuzz
fuzz: $(TOOLS)  ## the property tests with new examples, for 30 minutes or ARGS="--minutes 5"; prints how to repeat a failure
	@.venv/tools/bin/python tests/fuzz.py $(ARGS)

.PHONY: test-galaxy test-workflows test-slurm test-pulsar test-container test-toolshed test-browser image
PYTEST = .venv/galaxy/bin/python -m pytest
TOOL_TESTS = tests/galaxy/test_wrappers.py tests/galaxy/test_model_installation.py tests/galaxy/test_text_tools.py
WORKFLOW_TESTS = tests/galaxy/test_rules.py tests/galaxy/test_workflows.py
RELEASE_TESTS = tests/galaxy/test_ci.py tests/galaxy/test_release.py

test-galaxy: $(TOOLS) $(GALAXY) $(PLANEMO)  ## test-tools and test-workflows in one Galaxy; here and below, ARGS="-k TEXT -x" goes to pytest
	@$(PYTEST) $(TOOL_TESTS) $(WORKFLOW_TESTS) $(RELEASE_TESTS) $(ARGS)

test-tools: $(TOOLS) $(GALAXY) $(PLANEMO)  ## every wrapper's <tests> in a Galaxy started for them
	@$(PYTEST) $(TOOL_TESTS) $(ARGS)

.PHONY: test-oldest
test-oldest: $(TOOLS) $(PLANEMO) .venv/galaxy-oldest/.built  ## every wrapper's <tests> in the oldest Galaxy that they allow
	@.venv/galaxy-oldest/bin/python -m pytest tests/galaxy/test_wrappers.py $(ARGS)

test-tool: $(TOOLS) $(GALAXY) $(PLANEMO)  ## one wrapper's <tests> in the Galaxy of `make serve`: TOOL=dna_lm_score_pairs
	@$(PYTEST) tests/galaxy/test_wrappers.py --running -k "$(TOOL)" $(ARGS)

test-workflows: $(TOOLS) $(GALAXY) $(PLANEMO)  ## the workflows in a Galaxy started for them; chunks against one job, byte for byte
	@$(PYTEST) $(WORKFLOW_TESTS) $(ARGS)

.PHONY: test-release release
test-release: $(TOOLS) $(GALAXY) $(PLANEMO)  ## the commands of continuous integration; a release, built twice and compared
	@$(PYTEST) $(RELEASE_TESTS) $(ARGS)

test-slurm: $(TOOLS) $(GALAXY)  ## jobs on a real Slurm, some killed; as root on Debian, installs slurm-wlm and munge if they are missing
	@tests/galaxy/need_slurm.sh
	@$(PYTEST) tests/galaxy/test_slurm.py $(ARGS)

test-pulsar: $(TOOLS) $(GALAXY) .venv/pulsar/.built  ## jobs on a real Pulsar that shares no files with Galaxy; as root
	@$(PYTEST) tests/galaxy/test_pulsar.py $(ARGS)

image: $(UV)  ## one container image for all tools, with podman; as root on Debian, installs it; BASE=image TORCH=cuda|cpu, see docs/admin/
	@tests/galaxy/need_podman.sh
	@BASE="$(BASE)" TORCH="$(TORCH)" PYTHON=.venv/uv/bin/python docs/admin/build_image.sh

test-container: $(TOOLS) $(GALAXY)  ## jobs of every tool in the image of `make image`, without a network, compared with jobs outside; as root
	@tests/galaxy/need_podman.sh
	@$(PYTEST) tests/galaxy/test_containers.py $(ARGS)

# Of the Tool Shed's and the browser's tests, each needs what those before it left: -x stops at the first failure.
test-toolshed: $(TOOLS) $(GALAXY) $(PLANEMO) .venv/toolshed/.built  ## publish to a real Tool Shed, install from it into a clean Galaxy, test there, update: twenty minutes; as root
	@$(PYTEST) -x tests/galaxy/test_toolshed.py $(ARGS)

test-browser: $(TOOLS) $(GALAXY)  ## a new user's clicks in a real browser, screenshots in .galaxy/browser/: five minutes; Debian, installs chromium as root; ARGS=--docs-images
	@tests/galaxy/need_chromium.sh
	@$(PYTEST) -x tests/galaxy/test_browser.py $(ARGS)

serve: $(TOOLS) $(GALAXY)  ## a Galaxy with the suite and the demo models at PORT=8080, until Ctrl-C
	@.venv/galaxy/bin/python tests/galaxy/galaxy_server.py --host $(HOST) --port $(PORT)

bench: $(TOOLS) $(BENCH)  ## speed and memory next to the tutorial's code and two rivals, into benchmarks/README.md; ARGS=--help
	@.venv/tools/bin/python benchmarks/run.py $(ARGS)

lint: $(TOOLS) $(PLANEMO)  ## ruff, planemo lint, planemo shed_lint: no warning is let through
	@tests/galaxy/lint.sh

release: $(PLANEMO)  ## one version everywhere, and archives of it in dist/: VERSION=1.2.3; ARGS=--help
	@.venv/planemo/bin/python release/release.py $(if $(VERSION),--version $(VERSION)) $(ARGS)

lock: $(UV)  ## write the locks of all environments after a change of requirements; ARGS=--upgrade takes newer versions
	@.venv/uv/bin/python environments/lock.py $(ARGS)

clean:  ## remove outputs and the test Galaxies with their histories
	rm -rf .galaxy demo-output dist .pytest_cache tests/galaxy/.pytest_cache .ruff_cache .hypothesis

distclean: clean  ## remove the environments too
	rm -rf .venv

.venv/%/.built: environments/locks/%.txt environments/make_venv.sh
	@environments/make_venv.sh $*
$(TOOLS) $(BENCH): environments/locks/torch-cpu.txt environments/locks/torch-cuda.txt
$(GALAXY) $(PLANEMO) .venv/galaxy-oldest/.built .venv/pulsar/.built .venv/toolshed/.built: environments/locks/build.txt | $(UV)
