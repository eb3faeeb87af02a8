# A new clone needs two commands: `make bench` and `make test`. Each sets up .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: help install bench bench-help bench-report bench-generator bench-minimal bench-transports bars bars-long test lint types lock wheel readme schema findings clean

help:
	@echo "make bench    set up, then duel run --quick: verdicts and charts in about three minutes"
	@echo "make test     set up, then all tests"
	@echo "make install  set up only"
	@echo "make lint     ruff and mypy"
	@echo "make bench-generator, bench-report, bench-help   how fast the tool itself is"
	@echo "make bench-minimal, bench-transports   what the twins cost, and what their HTTP clients do"
	@echo "make bars-long  the long series: are verdicts right, are bottlenecks named, is all answered (hours)"
	@echo "make bars     whether the generator reads known figures as they are, and how soon verdicts come"
	@echo "make readme   run the quick profile and put its chart and table into README.md"
	@echo "make findings RUNS=\"runs/… 'duel run …'\"   write docs/findings.md from a long run at hand"
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

# What measures runs by itself, afterwards.
test: $(READY)
	$(BIN)/python -m pytest -m "not alone" -n 3 --dist loadfile
	$(BIN)/python -m pytest -m alone

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(READY)
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

bench-help: $(READY)
	$(BIN)/python -m benchmarks.help

bench-report: $(READY)
	$(BIN)/python -m benchmarks.report

bench-generator: $(READY)
	$(BIN)/python -m benchmarks.generator

bars: $(READY)
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.decision

bench-minimal: $(READY)
	$(BIN)/python -m benchmarks.minimal

bench-transports: $(READY)
	$(BIN)/python -m benchmarks.transports

bars-long: $(READY)
	$(BIN)/python -m pytest tests/test_equality.py --hypothesis-profile=long --timeout=3600
	$(BIN)/python -m pytest tests/test_faults.py -k interrupt --interrupts 50
	$(BIN)/python -m benchmarks.endurance
	$(BIN)/python -m benchmarks.endurance postgresql
	$(BIN)/python -m benchmarks.starvation
	$(BIN)/python -m benchmarks.planted
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.trust

readme: $(READY)
	$(BIN)/python -m benchmarks.readme

# Of a long run, in parts: begin it, then `duel run --resume runs/…` as often as there is time. Pairs of a run
# and its command; what a later run measured again is taken from there.
findings: $(READY)
	$(BIN)/python -m benchmarks.findings $(RUNS)

schema: $(READY)
	$(BIN)/python -c "import json; from loadtests import Run; print(json.dumps(Run.model_json_schema(by_alias=True, mode='serialization'), indent=1))" > docs/duel-run-1.schema.json

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --no-annotate \
		--custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache
