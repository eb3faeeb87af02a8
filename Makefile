# A new clone needs two commands: `make bench` and `make test`. Each sets up .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED := --require-hashes -r requirements.lock
# uv, itself installed by pip, installs the lock in a tenth of pip's time. It does not read pip's
# configuration, so pass it pip's index. If uv is unavailable or fails, pip installs the rest.
UV_LOCK := $(VENV)/uv.lock
INSTALL_UV = sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(UV_LOCK) && $(PIP) --require-hashes -r $(UV_LOCK)
UV = UV_DEFAULT_INDEX="$$($(BIN)/python -m pip config get global.index-url 2> /dev/null)" \
	$(BIN)/uv pip install --quiet --python $(BIN)/python

# Some container images set it. Without compiled modules, each of the hundreds of processes that tests and runs
# start would compile all of its imports: 2 s of CPU each instead of 0.8.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install bench bench-quick bench-help bench-report bench-generator bench-scale bench-minimal bench-transports bench-power bench-moderated bench-siblings bars bars-long test quick floors lint style types contracts warm lock wheel readme schema findings questions claims clean

help:
	@echo "make bench    set up, then duel run --quick: verdicts and charts in about three minutes"
	@echo "make test     set up, then all tests"
	@echo "make quick    set up, then the tests that load no server (a minute)"
	@echo "make floors   make quick and a short run with the oldest versions that pyproject.toml allows"
	@echo "make install  set up only"
	@echo "make lint     ruff and mypy"
	@echo "make bench-generator, bench-scale, bench-report, bench-help   how fast the tool itself is"
	@echo "make bench-minimal, bench-transports   what the twins cost, and what their HTTP clients do"
	@echo "make bars-long  the long series: correct verdicts, named bottlenecks, no failed requests (hours)"
	@echo "make bench-quick   the quick profile ten times: how long it takes, and what it decides (half an hour)"
	@echo "make bench-power   what gates find, by size of the change and number of cells (simulated, minutes)"
	@echo "make bars     the generator's accuracy against known figures, and the time to a verdict"
	@echo "make readme RUNS=\"runs/… runs/…\"   put a chart and tables of existing runs into README.md"
	@echo "make findings RUNS=\"runs/… 'duel run …'\"   write docs/findings.md from an existing long run"
	@echo "make questions RUNS=\"default=runs/… threads=runs/… …\"   write docs/questions.md from existing runs"
	@echo "make claims   measure the published claims of docs/claims.md that runs/claims lacks, and write that page (half an hour)"
	@echo "make lock     resolve requirements.lock again"

install: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL_UV) && $(UV) $(LOCKED) || $(PIP) $(LOCKED)
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

bench: $(READY)
	$(BIN)/duel run --quick

# Tests whose figures parallel tests would distort run afterwards: those of servers that mostly wait three at
# a time, the others one at a time. The tests measure real servers, on hosts that others share: what fails is run
# once more by itself, and named. A fault fails there too.
PYTEST := $(BIN)/python -m pytest
AGAIN := $(PYTEST) --last-failed --last-failed-no-failures none
# The files that hold tests of a mark: to import all others takes longer than some tests.
MARKED = $(shell grep -l 'mark[.]$(1)' tests/test_*.py)
test: $(READY)
	$(PYTEST) -m "not alone and not calm" -n 4 --dist worksteal || $(AGAIN) -m "not alone and not calm"
	$(PYTEST) -m calm -n 3 --dist loadfile $(call MARKED,calm) || $(AGAIN) -m calm
	$(PYTEST) -m alone $(call MARKED,alone) || $(AGAIN) -m alone

QUICK := apps architecture cards comparison config confidence exports gate golden k6_thresholds language \
	launches mixture naming plan portraits records statistics thresholds twins validity verdicts wording
quick: $(READY)
	$(PYTEST) -q -n 2 $(QUICK:%=tests/test_%.py)

# The oldest versions that pyproject.toml allows, in an environment of their own.
FLOORS := $(VENV)/floors
floors: $(READY)
	$(BIN)/python -m venv --clear $(FLOORS)
	$(BIN)/uv pip compile --quiet --python $(FLOORS)/bin/python --resolution lowest-direct --extra postgres --extra mysql \
		--output-file $(FLOORS)/versions.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(FLOORS)/bin/python -r $(FLOORS)/versions.txt \
		blockbuster editables hatchling hypothesis jsonschema junitparser prometheus-client 'pytest>=9' pytest-timeout \
		pytest-xdist pyyaml
	$(BIN)/uv pip install --quiet --python $(FLOORS)/bin/python --no-deps --no-build-isolation --editable .
	$(FLOORS)/bin/python -m pytest -q -n 2 -o filterwarnings=default $(QUICK:%=tests/test_%.py)
	# That other processes disturb it (5) says nothing of the versions.
	$(FLOORS)/bin/duel run -s ping -u 8 -t 0.5 --warmup 0.2 --rounds 4 --max-time 60s --out $(FLOORS)/runs || [ $$? = 5 ]

lint: style types contracts

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports --no-logo

# Compile what the tests import, once: otherwise each of their processes in the first seconds does it for itself.
warm: $(READY)
	$(PYTEST) --quiet --collect-only > /dev/null
	$(BIN)/python -P -m loadtests.load.generator --help > /dev/null

wheel: $(READY)
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

bench-help: $(READY)
	$(BIN)/python -m benchmarks.help

bench-report: $(READY)
	$(BIN)/python -m benchmarks.report

bench-generator: $(READY)
	$(BIN)/python -m benchmarks.generator

bench-scale: $(READY)
	$(BIN)/python -m benchmarks.scale

bars: $(READY)
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.decision
	$(BIN)/python -m benchmarks.capacities

bench-quick: $(READY)
	$(BIN)/python -m benchmarks.demonstration

bench-minimal: $(READY)
	$(BIN)/python -m benchmarks.minimal

bench-transports: $(READY)
	$(BIN)/python -m benchmarks.transports

bench-power: $(READY)
	$(BIN)/python -m benchmarks.power

bench-moderated: $(READY)
	$(BIN)/python -m benchmarks.moderated

bench-siblings: $(READY)
	$(BIN)/python -m benchmarks.siblings idle
	$(BIN)/python -m benchmarks.siblings bias

bars-long: $(READY)
	$(BIN)/python -m pytest tests/test_equality.py --hypothesis-profile=long --timeout=3600
	$(BIN)/python -m pytest tests/test_interrupts.py --long --interrupts 50
	$(BIN)/python -m benchmarks.endurance
	$(BIN)/python -m benchmarks.endurance postgresql
	$(BIN)/python -m benchmarks.endurance mysql
	$(BIN)/python -m benchmarks.starvation
	$(BIN)/python -m benchmarks.planted
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.trust

readme: $(READY)
	$(BIN)/python -m benchmarks.readme $(RUNS)

# Takes pairs of a run and its command. A long run can be measured in parts with `duel resume runs/…`; cells
# measured again in a later run replace the earlier ones.
findings: $(READY)
	$(BIN)/python -m benchmarks.findings $(RUNS)

questions: $(READY)
	$(BIN)/python -m benchmarks.questions $(RUNS)

# A run that exists in runs/claims/ is not measured again: remove its directory for that.
claims: $(READY)
	$(BIN)/python -m benchmarks.claims

schema: $(READY)
	$(BIN)/python -c "import json; from loadtests import Run; print(json.dumps(Run.model_json_schema(by_alias=True, mode='serialization'), indent=1))" > docs/duel-run-2.schema.json

lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --no-annotate \
		--custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache
