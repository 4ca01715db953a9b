# Two commands matter: `make run` and `make test`. Both set up everything they need in .venv and build/.
#
#   make run       set up, build, start nissa-ingest on ./nissa-data
#   make test      house rules; the suite on the release build; what reaches compiled code on the sanitize build;
#                  sdist; the wheel, installed and tested
#   make quick     house rules and the short tests of each room on the release build
#   make pages     the pages from ui/, where that has changed
#   make torture   kills, power cuts, failing calls, flipped bits, fuzzing, planted faults, the same on servers of others:
#                  the full amounts of docs/reliability.md, side by side; root; figures go to build/torture.txt as they
#                  come. PARTS: only those whose names begin so (tests/torture/run.py)
#   make wheels    wheels from an sdist for each Python from 3.11 to 3.14 that is installed: each installed and tried;
#                  PYTHONS="python3.12 python3.13" for these alone
#   make arm64     the same for arm64, cross-compiled and run by QEMU; root, Debian 12
#   make image     the image, built and run by podman; root
#   make bench     kernels by pytest-benchmark, beside those of the base revision, then head to head with the peers
#   make format    let ruff rewrite what it can
#   make clean     remove everything that is generated, but no data
#
# Variables: PYTHON (python3.11 where there is one), WORKERS (tests at a time), PYTEST (more arguments for every pytest
# run), RUN (arguments for nissa-ingest),
# PARTS (of make torture).

PYTHON ?= $(shell command -v python3.11 || echo python3)
WORKERS ?= 4
PYTEST ?=
PARTS ?=
PYTHONS ?= $(foreach minor,11 12 13 14,$(shell command -v python3.$(minor)))
RUN ?= --data-dir ./nissa-data
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find src proto -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.h' -o -name '*.proto')
COMPILED := $(wildcard src/nissa/_fast/*.pyx src/nissa/_fast/*.pxd src/nissa/_fast/*.h)
STAGE := scripts/stage
RECORD := build/torture.txt
# Whole files go to a worker, in their order: files share a daemon, and the long journeys must not come last.
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder -p no:benchmark

# Tests start the daemon some hundred times: without its bytecode every start would compile it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test quick pages setup house suite short sanitize sdist wheel wheels peers arm64 image torture bench format clean
.DELETE_ON_ERROR:

run: $(VENV)/stamp-built pages
	@echo "Send: Prometheus remote write to http://127.0.0.1:9470/api/v1/write, packets to http://127.0.0.1:9470/api/v1/telemetry"
	@echo "Look: http://127.0.0.1:9471/, or curl -s http://127.0.0.1:9471/api/v1/export -d 'match[]=nissa_journal_commits_total'    (more: README.md)"
	@echo "Those are the default ports; the next line tells the ones in use."
	@exec $(BIN)/nissa-ingest $(RUN)

test: house suite sanitize sdist wheel
	@$(STAGE) --summary

quick: house short
	@$(STAGE) --summary

# --- set-up: each stamp is newer than everything it was made from -------------------------------------------------

setup: $(VENV)/stamp-dev

$(VENV)/stamp-venv: scripts/make-venv
	scripts/make-venv $(PYTHON) $(VENV)
	@touch $@

$(VENV)/stamp-linked: $(VENV)/stamp-venv scripts/install-dependencies pyproject.toml
	scripts/install-dependencies $(BIN)/python build run
	NISSA_BUILD=none $(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/stamp-built: $(VENV)/stamp-linked setup.py $(COMPILED)
	$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

$(VENV)/stamp-dev: $(VENV)/stamp-built
	scripts/install-dependencies $(BIN)/python dev
	@touch $@

build/sanitize/stamp: $(VENV)/stamp-dev setup.py $(SOURCES)
	NISSA_BUILD=sanitize $(BIN)/python setup.py --quiet build --build-base build/sanitize --build-lib build/sanitize/lib
	@touch $@

pages: $(VENV)/stamp-linked
	@$(BIN)/python scripts/build-pages

peers:
	@scripts/install-debian-peers
	@scripts/build-chart-program

# --- the stages of `make test` ------------------------------------------------------------------------------------

house: $(VENV)/stamp-dev pages
	@$(STAGE) house/ruff $(BIN)/ruff check .
	@$(STAGE) house/format $(BIN)/ruff format --check .
	@$(STAGE) house/mypy $(BIN)/mypy
	@$(STAGE) house/rules $(BIN)/pytest tests/house $(PYTEST)

suite: $(VENV)/stamp-dev pages peers
	@$(STAGE) suite/release $(BIN)/pytest tests --ignore=tests/house $(PARALLEL) $(PYTEST)

short: $(VENV)/stamp-dev pages
	@$(STAGE) suite/short $(BIN)/pytest tests --ignore=tests/house --ignore=tests/journeys --ignore=tests/torture \
		-m 'not long and not slow' $(PARALLEL) $(PYTEST)

sanitize: build/sanitize/stamp pages
	@$(STAGE) suite/sanitize scripts/run-suite sanitize $(PARALLEL) $(PYTEST)

sdist: $(VENV)/stamp-dev pages
	@$(STAGE) package/sdist scripts/make-package sdist

wheel: sdist
	@$(STAGE) package/wheel scripts/make-package wheel
	@$(STAGE) package/installed scripts/run-suite wheel $(PARALLEL) $(PYTEST)

# --- the rest -----------------------------------------------------------------------------------------------------

wheels: sdist
	@$(STAGE) package/wheels scripts/try-wheels $(PYTHONS)

arm64: sdist
	@$(STAGE) package/arm64 scripts/try-arm64

image:
	@$(STAGE) package/image scripts/try-image

torture: $(VENV)/stamp-dev
	@scripts/install-debian-peers torture
	@mkdir -p build
	NISSA_TORTURE=full NISSA_TORTURE_RECORD=$(CURDIR)/$(RECORD) $(BIN)/python tests/torture/run.py $(PARTS)

bench: $(VENV)/stamp-dev peers
	$(BIN)/python -m pytest bench
	$(BIN)/python -m bench.peers

format: $(VENV)/stamp-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist ui/node_modules src/nissa/api/pages $(VENV) .mypy_cache .ruff_cache .hypothesis .benchmarks .asv src/*.egg-info
	find src -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
