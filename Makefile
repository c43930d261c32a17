# Everything a developer does here.  `make` alone prints this list.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
PYTHON := .venv/bin/python
# Switches and hosts live in network namespaces, which only root can make.  Nothing in the checkout becomes root's.
ROOT := $(if $(filter 0,$(shell id -u)),,sudo env PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=/var/cache/pliant/hypothesis)

.PHONY: help setup demo lab test check bench golden proto verify-proto lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: system packages, virtual environment, Python packages
	@bash scripts/setup.sh

demo: setup ## show what Pliant does, each claim measured on a fabric of its own (a little over a minute)
	@$(ROOT) $(PYTHON) -m apps.lab demo

lab: setup ## the demo's fabric with a prompt to try things at, or another: make lab TOPO=fat_tree,k=4
	@$(ROOT) $(PYTHON) -m apps.lab up $(if $(TOPO),--topo '$(TOPO)')

test: setup ## run every test; those on real switches need root
	@$(ROOT) $(PYTHON) -m pytest $(if $(ROOT),-p no:cacheprovider) $(ARGS)

check: setup verify-proto ## lint, types, layers, freshness of the stubs, the contract's style
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy
	@$(PYTHON) -m pytest -q tests/unit/test_layers.py

bench: setup ## measure speed and print the tables
	@$(ROOT) $(PYTHON) -m bench

golden: setup ## rewrite the golden files and docs/pipeline.md; read the diff
	@$(PYTHON) -m tests.golden

proto: setup ## generate the Python stubs of the contract
	@$(PYTHON) proto/generate.py

verify-proto: setup ## fail if a stub is stale, or the contract breaks buf's rules
	@$(PYTHON) proto/generate.py --check

lock: ## resolve the dependencies anew (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --extra lab --group dev pyproject.toml --output-file requirements/dev.txt

clean: ## remove what was built, the virtual environment too
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
