# A new clone needs two commands: `make bench` and `make test`. Each sets up .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: help install bench bench-help bench-generator bars test lint types lock wheel readme clean

help:
	@echo "make bench    set up, then duel run --quick: verdicts and charts in about three minutes"
	@echo "make test     set up, then all tests"
	@echo "make install  set up only"
	@echo "make lint     ruff and mypy"
	@echo "make bench-generator, bench-help   how fast the tool itself is"
	@echo "make bars     whether the generator reads known latencies and rates as they are"
	@echo "make readme   run the quick profile and put its chart and table into README.md"
	@echo "make lock     resolve requirements.lock again (needs uv)"

install: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

bench: $(READY)
	$(BIN)/duel run --quick

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(READY)
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

bench-help: $(READY)
	$(BIN)/python -m benchmarks.help

bench-generator: $(READY)
	$(BIN)/python -m benchmarks.generator

bars: $(READY)
	$(BIN)/python -m benchmarks.accuracy

readme: $(READY)
	$(BIN)/python -m benchmarks.readme

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --no-annotate \
		--custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache
