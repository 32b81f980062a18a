# Every target sets itself up: Python 3.11 or newer, git and make are all it takes.
# Another interpreter than python3: make PYTHON3=python3.12 test

PYTHON3 ?= python3
VENV    := .venv
PYTHON  := $(VENV)/bin/python
STAMP   := $(VENV)/.installed
INSTALL := -m pip --quiet --disable-pip-version-check install

# Images of containers set it, and every worker and server of a test would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-clients test-servers test-site test-matrix fuzz soak bench lint format docs pages contract
.PHONY: constraints clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## create the environment in .venv (every other target does so when it is needed)

demo: $(STAMP) ## start the example app, drive it with the official OpenAI SDK, print the transcript
	@$(PYTHON) docs/examples/ask_docs_demo.py

serve: $(STAMP) ## start the example app and leave it running
	@$(PYTHON) docs/examples/ask_docs.py $(ARGS)

# Some of the tests reach no floor of coverage; it is for all of them.
# A file stays in one process, so that what it sets up for all its tests, such as a server, is set up once.
PARALLEL := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder --max-worker-restart=0

test: $(STAMP) ## run all tests with coverage (one file: make test ARGS=tests/config/test_config.py)
	$(PYTHON) -m pytest $(PARALLEL) --cov --cov-report=term $(if $(ARGS),--cov-fail-under=0) $(ARGS)

# Each client in an environment of its own, in .clients: the first run installs them all, a later one takes a minute.
test-clients: $(STAMP) ## run real clients, such as openai-node and Codex, against the middleware (one: ARGS=codex)
	@$(PYTHON) -m tests.real_clients $(ARGS)

# Of tests/fuzz/: what one run finds new is kept in .fuzz/, for the next.
SECONDS := 60
fuzz: $(VENV)/.installed-fuzz ## fuzz the package with atheris, all targets together for SECONDS=60
	$(PYTHON) -m tests.fuzz.run --seconds $(SECONDS) $(ARGS)

test-servers: $(VENV)/.installed-servers ## run tests/live on every server: uvicorn, hypercorn, granian, daphne, gunicorn, waitress
	$(PYTHON) -m pytest --numprocesses=2 --dist=loadgroup --max-worker-restart=0 tests/live $(ARGS)

# Needs Chromium (Debian: apt install chromium).
test-site: docs ## build the documentation and look at every page in a browser, as wide as a desk and as a phone
	$(PYTHON) -m pytest tests/rendering $(ARGS)

# The end-to-end part needs wrk (Debian: apt install wrk), and a machine that does nothing else.
bench: $(VENV)/.installed-bench ## measure what the middleware costs, and write docs/benchmarks.md (to try it: ARGS=--quick)
	$(PYTHON) -m tests.benchmarks $(ARGS)

REQUESTS := 200000
soak: $(VENV)/.installed-servers ## send REQUESTS=200000 requests to a server and tell how its memory grew (ARGS=gunicorn-gthread)
	$(PYTHON) -m tests.live.soak --requests $(REQUESTS) $(ARGS)

test-matrix: $(VENV)/.installed-matrix ## run the tests on every Python that is here, and on the oldest and newest frameworks
	$(PYTHON) -m nox $(ARGS)

lint: $(STAMP) ## ruff check, ruff format --check, bandit, mypy (the tests relaxed), pyright (the examples)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m bandit --quiet --recursive openai_middleware adapters
	$(PYTHON) -m mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PYTHON) -m pyright --pythonpath $(PYTHON)

format: $(STAMP) ## format the code and fix what can be fixed
	$(PYTHON) -m ruff check --fix-only .
	$(PYTHON) -m ruff format .

docs: $(STAMP) ## build the documentation site in site/
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict --quiet

pages: $(STAMP) ## write the code of docs/examples into the pages that show it
	$(PYTHON) docs/examples/code_in_pages.py --write

contract: $(STAMP) ## regenerate the table of operations, and its page in the docs, from the pinned OpenAI SDK
	$(PYTHON) -m openai_middleware.contract --write openai_middleware/contract/openai.json
	$(PYTHON) -m openai_middleware.contract.generator.names > .names.py && mv .names.py openai_middleware/contract/names.py
	$(PYTHON) -m openai_middleware.contract.generator.bodies > .bodies.py && mv .bodies.py openai_middleware/contract/bodies.py
	$(PYTHON) docs/examples/contract_tables.py --write

# Resolved for the oldest Python that is supported, whatever Python does it: every version found runs on newer ones too.
constraints: ## rewrite constraints.txt with the newest versions that pyproject.toml allows
	@$(check_python)
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	$(PYTHON3) -m venv "$$scratch/venv" && \
	"$$scratch/venv/bin/python" $(INSTALL) --dry-run --ignore-installed --report "$$scratch/report.json" \
		--target "$$scratch/none" --python-version 3.11.0 --only-binary :all: '.[dev,fuzz,servers,matrix,bench]' && \
	$(PYTHON3) -c "$$WRITE_CONSTRAINTS" "$$scratch/report.json" > "$$scratch/constraints.txt" && \
	cp "$$scratch/constraints.txt" constraints.txt
	@grep -c == constraints.txt | sed 's/$$/ packages pinned in constraints.txt/'

define WRITE_CONSTRAINTS
import json, sys
packages = [package["metadata"] for package in json.load(open(sys.argv[1]))["install"]]
pins = {f"{package['name']}=={package['version']}" for package in packages if package["name"] != "openai-middleware"}
print("# The complete development environment. Written by: make constraints", *sorted(pins, key=str.lower), sep="\n")
endef
export WRITE_CONSTRAINTS

clean: ## remove the environment, caches and everything that was built
	rm -rf $(VENV) .clients .fuzz .nox build dist site *.egg-info .coverage .coverage.* htmlcov .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Without build isolation, so that the build backend is the pinned one too.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { $(check_python); $(PYTHON3) -m venv --clear $(VENV); }
	@echo "Installing what is needed into $(VENV); the first time this takes up to a minute ..."
	@$(PYTHON) $(INSTALL) -c constraints.txt setuptools
	@$(PYTHON) $(INSTALL) -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

# What only single targets need.
$(VENV)/.installed-%: $(STAMP)
	@echo "Installing what is needed for $* into $(VENV) ..."
	@$(PYTHON) $(INSTALL) -c constraints.txt --no-build-isolation -e '.[$*]'
	@touch $@

define check_python
command -v $(PYTHON3) >/dev/null || { \
	echo "$(PYTHON3) was not found. Install Python 3.11 or newer, or name one: make PYTHON3=python3.12 ..." >&2; exit 1; }; \
$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "$(PYTHON3) is $$($(PYTHON3) -V 2>&1); Python 3.11 or newer is needed. Name one: make PYTHON3=python3.12 ..." >&2; exit 1; }; \
$(PYTHON3) -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "$(PYTHON3) cannot create virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
endef
