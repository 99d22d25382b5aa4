# besøksbro: `make run` shows the main job, `make test` tests everything. Both set up what they need.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/stamp

# The tests start hundreds of processes, and the demo five: each would compile the hub again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run test check bench docs fuzz lossy clean

setup: $(STAMP)
	@$(BIN)/python tools/fetch.py

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

run: setup
	@$(BIN)/besoksbro demo --home .demo

# Workers of the suite: it waits for others a third of its time, so there are half as many again as there are cores.
JOBS ?= $(shell echo $$(( ($$(getconf _NPROCESSORS_ONLN) * 3 + 1) / 2 )))
test: setup
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

check: setup
	$(BIN)/ruff check .
	$(BIN)/mypy --strict hub ebxml adapters tools bench
	$(BIN)/lint-imports
	$(BIN)/python tools/licences.py
	$(BIN)/python tools/ceilings.py
	$(BIN)/python tools/docs.py --check

bench: setup
	@$(BIN)/python -m bench

MINUTES ?= 10
fuzz: setup
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris>=3,<4'
	@$(BIN)/python tests/fuzz/run.py --minutes $(MINUTES)

MESSAGES ?= 1000
lossy: setup
	@$(BIN)/python tests/lossy/round_trip.py --messages $(MESSAGES)

docs: setup
	@$(BIN)/python tools/docs.py

clean:
	rm -rf .venv .assets .demo .fuzz .crashes .mypy_cache .ruff_cache .pytest_cache .hypothesis
