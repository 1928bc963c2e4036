# Everything a developer or a user types. The first use of any target sets the project up.
PYTHON ?= python3
BIN := .venv/bin
TESTS ?= tests
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup setup-dev setup-train demo up down test lint verify chaos bench freeze clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install what is needed to run
	@$(PYTHON) deploy/setup.py

setup-dev: ## install what is needed to test, too
	@$(PYTHON) deploy/setup.py --dev

setup-train: ## install what tuning needs, too
	@$(PYTHON) deploy/setup.py --train

demo: setup ## play one ALFWorld task on the real stack
	@$(BIN)/espalier demo

up: setup ## start the stack and keep it going
	@$(BIN)/espalier up

down: ## stop the stack
	@$(BIN)/espalier down

lint: setup-dev ## format, lint, types, imports
	@ruff format --check --quiet . || (echo "run: ruff format ."; exit 1)
	@ruff check --quiet .
	@pyright --warnings >.espalier-pyright.log || (cat .espalier-pyright.log; rm -f .espalier-pyright.log; exit 1)
	@rm -f .espalier-pyright.log
	@lint-imports --no-logo >/dev/null || lint-imports

test: lint ## lint, then every test but the long proofs
	@pytest -m "not verify and not chaos" $(TESTS)

verify: setup-dev ## the long proofs
	@ESPALIER_VERIFY=1 pytest -m verify $(TESTS)

chaos: setup-dev ## every fault on the real processes, and the table of what came of it
	@pytest -m chaos tests/chaos

bench: ## the measurements, beside their peers
	@$(PYTHON) deploy/setup.py --dev --bench
	@$(BIN)/python -m benchmarks.overhead
	@$(BIN)/python -m benchmarks.overhead_http
	@$(BIN)/python -m benchmarks.branches
	@$(BIN)/python -m benchmarks.engine
	@$(BIN)/python -m benchmarks.routing
	@$(BIN)/python -m benchmarks.environments

freeze: setup-dev ## write the lists of pinned packages from what is installed
	@$(BIN)/python requirements/freeze.py

clean: ## remove what was installed and generated
	rm -rf .venv .espalier .ruff_cache .pytest_cache
