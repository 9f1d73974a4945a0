# Every target sets up what it needs: only a Python >= 3.11 with venv and pip is presumed.

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed

# uv trusts what the system trusts, as pip does: networks have proxies with certificates of their own.
export UV_SYSTEM_CERTS ?= 1
export UV_NATIVE_TLS ?= 1

# The first interpreter that is new enough; `make test PYTHON=/opt/python/bin/python3` chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

# What is handed on: `make test ARGS="tests/unit/geo -x"`, `make demo ARGS="--seed 7"`, `make bench ONLY=ebaker_step`.
ARGS ?=
ONLY ?= *

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench docs page browser redis screenshots plugin wheel dist clean distclean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the environment in .venv (the other targets do this by themselves)

# The stamp makes a second run quick; a changed pyproject.toml installs again. uv is several times faster than pip, which
# remains the way where uv cannot be had or cannot reach the package index that pip is configured for. torch and
# torchvision are resolved together and without pinning a variant, so that a machine with a GPU gets to use it.
# uv leaves compiling to the first import, which every process that starts before it is done then pays for; pip does not.
$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv || echo "uv cannot be installed; pip takes over"
	@{ test -x $(BIN)/uv && $(BIN)/uv pip install --compile-bytecode --python $(BIN)/python -e '.[dev]'; } \
		|| $(BIN)/python -m pip install -e '.[dev]'
	@touch $@

demo: $(STAMP) ## Draw a scene, index it, search it, and write a report with pictures
	$(BIN)/rsitr demo $(ARGS)

# A file at a time for each core, so that what the tests of a file share is set up once; in their order, so that those in
# a browser, which take longest, come first and the small ones fill what is left.
test: $(STAMP) page browser redis ## Run the tests on all cores: CPU, offline, minutes
	@$(BIN)/python -m compileall -q src  # or each of the many processes that tests start would compile all of it
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(STAMP) ## Lint, formatting, types, and the directions of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if command -v npm >/dev/null; then \
		{ test -d web/node_modules || npm --prefix web install; } && npm --prefix web run --silent check; \
	else echo "without Node the page's types are not checked"; fi

format: $(STAMP) ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Run the scripts in benchmarks/; each prints what it claims and what it measured
	@status=0; for script in benchmarks/$(ONLY).py; do \
		echo "== $$script"; $(BIN)/python "$$script" $(ARGS) || { echo "FAILED: $$script" >&2; status=1; }; \
	done; exit $$status

docs: $(STAMP) ## Build the documentation as a site into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

# The same build hook as in an installation; it does nothing where the page is already built from the same sources.
page: $(STAMP) ## Build the web page from web/, and what its tests need; wants Node
	@$(BIN)/python -m hatchling build -t wheel --hooks-only
	@test -d web/node_modules || ! command -v npm >/dev/null || npm --prefix web install

browser: ## Install Chromium, in which the page is tested, where apt-get can
	@{ command -v chromium && command -v chromedriver; } >/dev/null 2>&1 || { \
		command -v apt-get >/dev/null && as=$$([ "$$(id -u)" = 0 ] || echo sudo -n) && $$as apt-get update -qq && \
		$$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium chromium-driver fonts-dejavu-core >/dev/null; \
	} || echo "The tests of the page need Chromium and its driver; install them as your system does," \
		"on Debian: apt-get install chromium chromium-driver" >&2

redis: ## Install Redis, with which services on several hosts are tested, where apt-get can
	@command -v redis-server >/dev/null || { \
		command -v apt-get >/dev/null && as=$$([ "$$(id -u)" = 0 ] || echo sudo -n) && $$as apt-get update -qq && \
		$$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null; \
	} || echo "The tests of services on several hosts need redis-server; install it as your system does," \
		"on Debian: apt-get install redis-server" >&2

screenshots: $(STAMP) page browser ## Take the pictures of the page in docs/images
	RSITR_SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/e2e/test_screenshots.py

plugin: ## Pack the plugin for QGIS into dist/
	@$(or $(wildcard $(BIN)/python),python3) qgis/package.py

wheel: $(STAMP) ## Build the wheel into dist/
	$(BIN)/python -m hatchling build -t wheel

dist: $(STAMP) page ## Build wheel and source distribution into dist/, check them, and write their SHA-256 sums
	$(BIN)/python packaging/dist.py dist

clean: ## Remove caches and generated output; trained models in runs/ stay
	rm -rf build dist demo-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## As clean, and remove the environment, the built page and its packages too
	rm -rf $(VENV) src/rsitr/service/static web/node_modules
