# Tapeline: the one door. It needs Python 3.11 to 3.13, make and Node; everything else it fetches into .venv.
# ARGS is handed on: make test ARGS="-k ledger -x".

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_MINIMUM := 0.9
NPM := npm --prefix web --no-fund --no-audit --loglevel=error
DIST := src/tapeline/web/dist/index.html
PAGE := $(wildcard web/*.json web/*.ts web/*.html web/*.txt) $(shell find web/src web/public -type f)
BENCHES := $(filter-out bench/results.py,$(sort $(wildcard bench/*.py)))

# One environment only, ours, whatever is active around us; and never a Python fetched behind the user's back.
# Bytecode is kept there even where it is kept nowhere else: without it each of a test's processes compiles all it imports.
unexport VIRTUAL_ENV UV_PYTHON PYTHONDONTWRITEBYTECODE
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/$(VENV)
export UV_PYTHON_DOWNLOADS := never
SYNC := $(UV) sync --frozen --inexact

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: run test test-page test-services lint lint-ruff lint-types lint-imports lint-page format page pictures bench \
	bench-smoke chaos docs clean help

run: $(VENV)/.ready-base $(DIST) ## Live from Kraken, or from the simulated market where there is no network: open the address it prints
	@$(BIN)/tapeline up --demo-if-offline $(ARGS)

test: $(VENV)/.ready-test ## All tests that need no server and no extra
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

test-page: web/node_modules/.ready ## Tests of the page's own parts (no browser)
	$(NPM) test

test-services: $(VENV)/.ready-services $(DIST) ## Tests of extras, of a real browser, of installations and of real servers
	@test -x /usr/bin/chromium || (apt-get update -q && apt-get install -q -y --no-install-recommends chromium)
	$(BIN)/pytest -m services $(ARGS)

page: $(DIST) ## Build the page into the package

web/node_modules/.ready: web/package-lock.json
	$(NPM) ci
	@touch $@

$(DIST): $(PAGE) web/node_modules/.ready
	$(NPM) run --silent build

pictures: $(VENV)/.ready-services $(DIST) ## Pictures of the page for the documentation
	PYTHONPATH=. $(BIN)/python docs/page_pictures.py
	$(BIN)/python docs/pictures.py

lint: lint-ruff lint-types lint-imports lint-page ## ruff, mypy --strict, the layers of imports, the page's own linters

lint-ruff: $(VENV)/.ready-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-types: $(VENV)/.ready-lint
	$(BIN)/mypy

lint-imports: $(VENV)/.ready-lint
	$(BIN)/lint-imports --no-logo

lint-page: web/node_modules/.ready
	$(NPM) run --silent check

format: $(VENV)/.ready-lint ## Mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.ready-test ## Every bench in full, its peers beside it; writes bench/results.json
	@set -e; for file in $(BENCHES); do echo "== $$file"; $(BIN)/python $$file $(ARGS); done

bench-smoke: $(VENV)/.ready-test ## Every bench once and small; leaves bench/results.json alone
	@mkdir -p build; rm -f build/bench-smoke.json
	@set -e; export TAPELINE_BENCH_RESULTS=build/bench-smoke.json; \
	for file in $(BENCHES); do echo "== $$file"; $(BIN)/python $$file --smoke; done

chaos: $(VENV)/.ready-test ## Long random kills and faults
	@ls /usr/lib/*/faketime/libfaketimeMT.so.1 > /dev/null 2>&1 || (apt-get update -q && apt-get install -q -y --no-install-recommends faketime)
	$(BIN)/pytest -m chaos -o faulthandler_timeout=0 $(ARGS)

docs: $(VENV)/.ready-docs ## Build the documentation into site/, strictly
	$(BIN)/zensical build --clean --strict

clean: ## Remove everything that make and the tools made, .venv too
	rm -rf $(VENV) build dist site src/tapeline/web/dist web/node_modules .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# Each stamp says that its groups of packages are in .venv as uv.lock has them; groups add up, none removes another.
$(VENV)/.ready-base: SETS := --no-default-groups
$(VENV)/.ready-test: SETS := --group test
$(VENV)/.ready-services: SETS := --group test --group services --extra pandas --extra polars --extra xgboost --extra shap \
	--extra mlflow --extra yfinance --extra evidently --extra sequence
$(VENV)/.ready-lint: SETS := --group test --group lint
$(VENV)/.ready-docs: SETS := --group docs
$(VENV)/.ready-%: pyproject.toml uv.lock | $(UV)
	$(SYNC) $(SETS)
	@touch $@

$(UV):
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] < (3, 14); sys.exit(None if ok else \
	"$(PYTHON): wrong version: expected Python 3.11 to 3.13, was " + sys.version.split()[0] + "; call make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=$(UV_MINIMUM)"
