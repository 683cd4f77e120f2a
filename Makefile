# segbench: `make sweep` and `make test` do everything on a fresh machine with Python 3.11+.

VENV    ?= .venv
PY      := $(VENV)/bin/python
PYTHON  ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
PYTEST_ARGS ?= -n auto --dist loadfile
CHAOS_ARGS  ?= -m chaos -n 0

export NO_ALBUMENTATIONS_UPDATE := 1
export SEGBENCH_KILLS ?= 100

.DEFAULT_GOAL := help
.PHONY: help install sweep test test-full test-slurm chaos chaos-record bench bench-cuda bench-sweep bench-mirror bench-prediction calibrate check format golden system constraints schema axes smoke-reference test-postgres wheel clean

help:  ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed  ## Make the environment in .venv (a second call finds it made)

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "segbench needs Python 3.11 or newer; none was found. Name one: make install PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Making the environment with $(PYTHON) in $(VENV) (torch and its CUDA libraries are about 6 GB)."
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt-get install python3-venv"; exit 2; }
	@$(PY) -m pip install --quiet --disable-pip-version-check uv
	@$(PY) -m uv pip install --quiet --python $(PY) --constraint constraints.txt --editable '.[dev]'
	@touch $@
	@$(PY) -m segbench --version

sweep: install  ## Run the quickstart: `segbench sweep quickstart` and `segbench report quickstart`
	$(VENV)/bin/segbench sweep quickstart
	$(VENV)/bin/segbench report quickstart

test: install  ## Run the test suite (what needs a GPU, LaTeX, Chromium or the shared photographs skips with a reason)
	$(PY) -m pytest $(PYTEST_ARGS)

test-full: install  ## Run the suite with every variant, compiled and exported, where `make test` takes one a family
	$(PY) -m pytest $(PYTEST_ARGS) -m "not chaos"

chaos: install  ## Kill sweeps SEGBENCH_KILLS times, fill disks, damage files; compare what is left (100 kills: an hour)
	$(PY) -m pytest tests/chaos $(CHAOS_ARGS)

chaos-record: install  ## The same, and write docs/chaos.md: what was done, with date and commit
	SEGBENCH_CHAOS_RECORD=docs/chaos.md $(PY) -m pytest tests/chaos $(CHAOS_ARGS)

bench: install  ## Measure speed against the loop everyone writes, on the CPU (two idle cores: under 15 minutes)
	@$(PY) -m benchmarks.speed --cpu

bench-cuda: install  ## The same on a GPU: training, testing, trials side by side
	@$(PY) -m benchmarks.speed --cuda

bench-sweep: install  ## Measure a sweep's own costs: between trials, resume scan, claiming, planning, searching (on an idle machine)
	@$(PY) -m benchmarks.between_trials
	@$(PY) -m benchmarks.scan
	@$(PY) -m benchmarks.claiming
	@$(PY) -m benchmarks.plan
	@$(PY) -m benchmarks.search

bench-mirror: install  ## Measure what the dashboard's mirror costs an epoch and a trial, up to 10,000 trials
	@$(PY) -m benchmarks.mirror

bench-report: install  ## Measure a report of 1,000 trials x 200 epochs: cold, one record changed, unchanged; memory
	@$(PY) -m benchmarks.report

bench-prediction: install  ## Measure whether trials of the committed experiments take what `bench` and `plan` say (20 minutes)
	@$(PY) -m benchmarks.prediction

calibrate: install  ## Simulate experiments whose truth is known, write docs/calibration.md (10,000 runs a scenario: minutes)
	@OMP_NUM_THREADS=1 $(PY) -m benchmarks.calibration

test-slurm: install  ## Run sweeps on a real Slurm of one node (installs slurm-wlm and munge where root and apt are)
	VENV=$(VENV) .ci/slurm

test-postgres: install  ## Run a search and the dashboard on a real PostgreSQL (installed by apt where root)
	VENV=$(VENV) .ci/postgres

check: install  ## Lint, types, layers, generated files
	$(PY) -m ruff format --check segbench tests benchmarks
	$(PY) -m ruff check segbench tests benchmarks
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/segbench schema | diff -q - docs/experiment.schema.json || { echo "docs/experiment.schema.json is stale: make schema"; exit 1; }
	$(VENV)/bin/segbench list --markdown | diff -q - docs/axes.md || { echo "docs/axes.md is stale: make axes"; exit 1; }

format: install  ## Format and mend what the linter can
	$(PY) -m ruff format segbench tests benchmarks
	$(PY) -m ruff check --fix segbench tests benchmarks

golden: install  ## Rewrite the golden files (tests/golden); look at the diff before committing it
	SEGBENCH_GOLDEN=rewrite $(PY) -m pytest tests/golden -n 0

schema: install  ## Rewrite docs/experiment.schema.json from the code
	$(VENV)/bin/segbench schema > docs/experiment.schema.json.new && mv docs/experiment.schema.json.new docs/experiment.schema.json

axes: install  ## Rewrite docs/axes.md from the code
	$(VENV)/bin/segbench list --markdown > docs/axes.md.new && mv docs/axes.md.new docs/axes.md

smoke-reference: install  ## Run every comparison of experiments/reference, narrow, one epoch on 16 images
	VENV=$(VENV) .ci/smoke-reference

system:  ## Install LaTeX, poppler and Chromium where apt is there (tests that need them skip otherwise)
	.ci/system

constraints: install  ## Pin the versions that the tests ran with (no addresses)
	$(PY) -m uv pip compile --quiet --universal --no-header --no-annotate --python-version 3.11 --extra dev pyproject.toml --output-file constraints.txt

wheel: install  ## Build a wheel into dist/
	$(PY) -m uv build --quiet --wheel

clean:  ## Remove build products; never results, reports or data
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find segbench tests -name __pycache__ -type d -prune -exec rm -rf {} +
