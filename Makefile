# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test check torture clean

demo: $(VENV)/ready
	PYTHONPATH=examples $(BIN)/python -P -m hashbase.demo

test: check
	$(BIN)/python -m pytest -q

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The full counts, in real time; docs/reliability.md keeps the figures of its last run.
torture: $(VENV)/ready
	LAMPLIGHTER_TORTURE=1 $(BIN)/python -m pytest -q -s --timeout=7200 tests/faults tests/soak tests/test_cron_oracle.py tests/hashbase

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) demo-data build dist
