# `make help` explains the targets. PYTHON chooses the interpreter that .venv is made with,
# TORCH_INDEX another build of torch, e.g. TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
MINUTES ?= 10
TRIALS ?= 100000
SOAK ?=
CASES ?= 10
PACKAGES := ridgeway service workers migrations
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.docs-installed
BY_FILE := --dist loadfile --no-loadscope-reorder
# Of tests, which wait for services and databases: one more than cores, and no more than four.
PROCESSES := $(shell cores=$$(nproc); echo $$((cores < 4 ? cores + 1 : 4)))

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test soak fuzz coverage check format docs clean

help:  ## show this help
	@echo 'Ridgeway: which penalty, and how strong?'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  PYTHON=python3.12   another interpreter for .venv (3.11 or later)'
	@echo '  TORCH_INDEX=URL     another build of torch, from this package index'
	@echo "  TRIALS=1000000 SOAK='--once --databases sqlite'   of make soak: one large job to its end"

setup: $(INSTALLED)  ## make .venv and install what constraints.txt pins (again if it has changed)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Ridgeway needs Python 3.11 or later; $(PYTHON) is not. Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) can't make environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
ifneq ($(strip $(TORCH_INDEX)),)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt \
	  --index-url $(TORCH_INDEX) --no-deps torch
endif
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(INSTALLED)  ## search breast_cancer for its penalty: service, workers, HTTP, answer
	@$(BIN)/ridgeway demo

serve: $(INSTALLED)  ## keep service and workers running on ridgeway-data/ (what the demo did is there)
	@$(BIN)/ridgeway serve

# A file's tests stay in one process: some share a server. Those with services and workers of their
# own come last. Files start in the order of their names, which puts many small ones at the end.
test: $(INSTALLED)  ## run every test, PostgreSQL included
	$(BIN)/python -m pytest -n $(PROCESSES) $(BY_FILE) --ignore tests/acceptance
	$(BIN)/python -m pytest -n $(PROCESSES) $(BY_FILE) tests/acceptance

soak: $(INSTALLED)  ## hinder simulated workers for MINUTES (10) on jobs of TRIALS (100000), check nothing is lost
	PYTHONPATH=tests/helpers $(BIN)/python tests/soak.py \
	  --minutes $(MINUTES) --trials $(TRIALS) $(SOAK)

fuzz: $(INSTALLED)  ## ask a service all that its document allows and forbids, CASES (10) of each call
	PYTHONPATH=tests/helpers $(BIN)/python tests/fuzz.py --cases $(CASES)

coverage: $(INSTALLED)  ## run every test and print the lines and branches that none reaches
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage report --skip-covered --show-missing

# bandit warns of each finding that a `nosec` gives a reason for; those that have none make it fail.
check: $(INSTALLED)  ## format, lint, types, the arrows between the rooms, and what is seldom safe
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(PACKAGES) 2>/dev/null

format: $(INSTALLED)  ## format the code and repair what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(DOCS_INSTALLED)  ## build the documentation site into build/docs/, warnings being errors
	$(BIN)/python -m sphinx --fresh-env -W --keep-going -q -c docs . build/docs
	@echo 'The documentation: build/docs/index.html'

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

clean:  ## remove .venv and what tools leave behind; ridgeway-data/ stays
	rm -rf $(VENV) build dist *.egg-info .coverage .pytest_cache .ruff_cache .hypothesis \
	  .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
