# `make demo` and `make test` set up all they need in .venv. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv/bin/python
WORKERS ?= 2
PYTEST := $(VENV) -m pytest --numprocesses=$(WORKERS) --durations=10

.DEFAULT_GOAL := help
.PHONY: help demo test lint format proto bench soak constraints clean environment

help: ## Lists the targets.
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

# The environment that everything but the demo runs in.
environment:
	@$(PYTHON) .ci/environment.py dev

demo: ## Registers, finds and messages 28,000 airports through two proxies, and checks every claim. Under a minute.
	@$(PYTHON) .ci/environment.py demo
	@$(VENV) -m prism demo

test: environment lint ## Lints, checks types, layers and generated code, and runs all tests.
	@$(PYTEST) -m "not soak"

lint: environment ## Lints, checks types, layers and generated code.
	@$(VENV) .ci/checks.py

format: environment ## Formats the code and sorts its imports.
	@$(VENV) -m ruff check --quiet --fix --exit-zero --select I .
	@$(VENV) -m ruff format .

proto: environment ## Generates the wire contract's Python code from proto/.
	@$(VENV) proto/generate.py

bench: environment ## Measures the figures of docs/benchmarks.md into benchmarks/results/. Under a quarter of an hour.
	@$(VENV) -m benchmarks

soak: environment ## Runs the long, bounded tests.
	@$(PYTEST) -m soak --timeout=3600

constraints: ## Writes constraints.txt anew with the newest versions that fit.
	@$(PYTHON) .ci/constraints.py

clean: ## Removes the environment, the caches and the results.
	@rm -rf .venv .venv.lock .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache benchmarks/results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
