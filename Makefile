# make run    set up, then the built-in demo; the dashboard's address is printed, Ctrl-C ends it
# make test   set up (Debian packages too), then every check and every test
# make check  what a contributor runs all day: lint, types, import contracts, quick tests; Python only, no root
# make bench  measure; prints one JSON document

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PACKAGES := $(shell sed 's/\#.*//' tests/debian-packages.txt)

.PHONY: run test check lint quick quick-agentd quick-rest system bench clean packages
.DELETE_ON_ERROR:

run: $(VENV)/.demo
	@exec $(BIN)/agentd demo

test: packages $(VENV)/.test lint
	$(BIN)/python -m pytest

check: $(VENV)/.test
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target lint quick-agentd quick-rest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

quick: quick-agentd quick-rest

quick-agentd: $(VENV)/.test
	$(BIN)/python -m pytest -m "not system" tests/agentd

quick-rest: $(VENV)/.test
	$(BIN)/python -m pytest -m "not system" --ignore=tests/agentd

system: packages $(VENV)/.test
	$(BIN)/python -m pytest -m system

bench: packages $(VENV)/.test
	@$(BIN)/python -P -m tests.bench

# What the tests need of Debian: installed as root or with sudo, else listed.
packages:
	@sh tests/install-packages.sh $(PACKAGES)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "agentd needs Python 3.11 or newer; choose one with: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "python3 cannot make virtual environments; on Debian: apt install python3-venv"; exit 1; }

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once) ..."
	@$(PIP) install -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	@echo "setting up $(VENV) for tests (once) ..."
	@$(PIP) install -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
