# Everything sets itself up: a fresh clone needs python3 (with its venv module), make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
SEEDS ?= 100
MINUTES ?= 5

.PHONY: demo test lint types unit coverage chaos mutants bench wheel clean

demo: $(INSTALLED)
	$(BIN)/headrace demo

test: lint types unit wheel

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

unit: $(INSTALLED)
	$(BIN)/pytest --numprocesses auto --dist loadfile

coverage: $(INSTALLED)
	$(BIN)/pytest --numprocesses auto --dist loadfile --cov --cov-report term:skip-covered

wheel: $(INSTALLED)
	$(BIN)/python -m build --outdir build/wheel . >build/wheel.log 2>&1 || { cat build/wheel.log; exit 1; }

# As many seeds of disaster as there are minutes for: simulated ones, and real processes that are really killed.
chaos: $(INSTALLED)
	$(BIN)/python -m tests.chaos --seeds $(SEEDS) --minutes $(MINUTES)

# Bugs that are planted in the engine, each of which simulated runs must find within a stated number of seeds.
mutants: $(INSTALLED)
	$(BIN)/python -m tests.mutants

bench: $(INSTALLED)
	$(BIN)/pip install --quiet -e '.[bench]'
	$(BIN)/python -m bench --write docs/performance.md

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "headrace needs Python 3.11 or later")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	mkdir -p build
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
