# make demo   read three brains and write a report
# make test   everything that CI checks
# Also: make lint types docs bench clean. Python: make demo PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# the real data sets, where a copy lies beside the checkout
ifneq ($(wildcard ../shared/data/alice),)
export FUSIFORM_DATA ?= $(abspath ../shared/data)
endif

.PHONY: demo test install lint types floors unit docs bench clean

demo: install
	@$(BIN)/fusiform demo --out runs/demo

test: lint types floors unit docs

install: .venv/installed

# made anew when what is to be installed has changed
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fusiform needs Python 3.11 to 3.13, and $(PYTHON) is " + sys.version.split()[0] + "; give another: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell src tests docs benchmarks examples README.md CONTRIBUTING.md CHANGELOG.md

types: install
	$(BIN)/mypy

floors: install
	$(BIN)/lint-imports

unit: install
	$(BIN)/pytest -n 2 --ignore tests/test_docs.py

docs: install
	$(BIN)/pytest tests/test_docs.py

bench: install
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,bench]'
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
