# Two commands matter: `make demo` and `make test`. Both install what they need into this folder first.

# The first that runs and is new enough; a version manager's stand-ins may do neither.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; exit; }; \
	done; command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/done
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
CHECKOV := .venv-checkov
NODE_MODULES := shared/local/node_modules
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock"

export PATH := $(CURDIR)/$(BIN):$(PATH)
comma := ,
export NO_PROXY := $(if $(NO_PROXY),$(NO_PROXY)$(comma))127.0.0.1$(comma)localhost

.PHONY: help setup demo test thorough chaos bench checkov fresh lock clean

help:
	@echo "make demo      a real contract on a real chain, faults put in, and the plumb line that rights them"
	@echo "               (KEEP=1 leaves it all running and prints where)"
	@echo "make test      lint, types, imports and every test"
	@echo "make thorough  the tests, the benchmarks, which say whether each target is reached (make bench), 30 seeds"
	@echo "make chaos     faults, reorgs and kills by a seed (SEED=7, SEEDS=30), judged by the chain itself"
	@echo "make checkov   what looks at Terraform for mistakes of security, in an environment of its own"
	@echo "make fresh     each function's archive, served in an environment that has its requirements alone"
	@echo "make setup     only install; make lock: pin the dependencies anew; make clean: remove what was made"

setup: $(DONE)/python $(DONE)/package $(DONE)/node

demo: setup
	@$(BIN)/python -m shared.local.demo $(if $(KEEP),--keep)

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/pytest

thorough:
	$(MAKE) --keep-going checkov test bench fresh chaos SEED=1 SEEDS=30

chaos: setup
	$(BIN)/python -m tests.chaos --seed $(or $(SEED),1) --seeds $(or $(SEEDS),1)

checkov: $(CHECKOV)/done

fresh: setup
	$(BIN)/python -m tests.deploy.fresh

bench: setup
	$(BIN)/python -m tests.performance

lock: $(DONE)/venv
	@command -v uv >/dev/null || $(PIP) install --quiet uv
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
	$(COMPILE) requirements-build.in -o requirements-build.txt
	$(COMPILE) requirements-node.in -o requirements-node.txt
	$(COMPILE) requirements-checkov.in -o requirements-checkov.txt
	npm install --prefix shared/local --package-lock-only --ignore-scripts --no-audit --no-fund

clean:
	rm -rf $(VENV) $(CHECKOV) $(NODE_MODULES) var build *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DONE)/venv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and no python3 was found."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
		echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "[1/4] virtual environment in $(VENV) ($$($(PYTHON) -V 2>&1))"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/python: $(DONE)/venv requirements.txt requirements-dev.txt requirements-build.txt
	@echo "[2/4] Python packages, pinned with hashes (a minute or two the first time)"
	@$(PIP) install --progress-bar on --quiet --require-hashes -r requirements.txt
	@$(PIP) install --progress-bar on --quiet --require-hashes -r requirements-dev.txt
	@$(PIP) install --progress-bar on --quiet --require-hashes -r requirements-build.txt
	@touch $@

# Compiled as pip compiles packages: where PYTHONDONTWRITEBYTECODE is set each start would do it anew.
$(DONE)/package: $(DONE)/python pyproject.toml
	@echo "[3/4] plumbline itself, editable"
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q -x node_modules shared functions
	@touch $@

# The machine's own npm where there is one that works, else Node from PyPI.
$(DONE)/node: $(DONE)/venv shared/local/package.json shared/local/package-lock.json requirements-node.txt
	@echo "[4/4] the local chain (anvil) and the Solidity compiler, from npm"
	@{ node --version && npm --version; } >/dev/null 2>&1 || { \
		echo "      no Node here: taking it from PyPI"; \
		$(PIP) install --progress-bar on --quiet --require-hashes -r requirements-node.txt; }
	@npm ci --prefix shared/local --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(CHECKOV)/done: requirements-checkov.txt $(DONE)/venv
	@echo "checkov, in $(CHECKOV) (half a minute)"
	@$(PYTHON) -m venv $(CHECKOV)
	@$(CHECKOV)/bin/python -m pip --disable-pip-version-check --no-input install --quiet \
		--require-hashes -r requirements-checkov.txt
	@touch $@
