# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.

# A distribution's own build runs the tests a fifth faster than one that was made without optimisation, as pyenv's are.
PYTHON ?= $(or $(shell for python in /usr/bin/python3 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done),python3)
VENV ?= .venv
BIN = $(VENV)/bin

# Without bytecode each of the hundreds of processes that the tests start would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

SEEDS ?= 1000
QUICK ?=
FULL ?=
WORKLOAD ?= drain-1
# The tests of `make test` run in the process of each worker. Those of `make test-whole` mostly wait for other processes
# and for servers, so more of them run side by side than there are cores.
WORKERS ?= 2
WORKERS_WHOLE ?= 4
# Orders of statements of several turns on PostgreSQL, for each test of them; a planted bug is hunted in 40.
ORDERS ?= 12

.PHONY: demo page-demo demo-cluster demo-rabbitmq test test-whole test-all test-django check simulate mutants torture bench profile docs picture page-pictures samples dist clean

demo: $(VENV)/ready
	PYTHONPATH=examples $(BIN)/python -P -m hashbase.demo

# A Hashbase at work behind the page, with an hour behind it and workers that are killed. Ctrl-C ends it.
page-demo: $(VENV)/ready
	PYTHONPATH=examples:tests/hashbase $(BIN)/python -P -m hashbase.page

# Needs a PostgreSQL on this machine, and starts one of its own.
demo-cluster: $(VENV)/ready
	PYTHONPATH=examples:tests $(BIN)/python -P -m cluster.demo

# Needs a rabbitmq-server on this machine, and starts one of its own.
demo-rabbitmq: $(VENV)/ready
	PYTHONPATH=examples:tests/whole/stores/rabbitmq $(BIN)/python -P -m cluster.rabbitmq

# No test asks anything of a disk, for which each turn would wait: their files lie in memory, where there is room.
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR > 1 && $$4 > 2000000 {print "/dev/shm"}')

# The tests that run in one process: under four minutes on two cores.
test: check
	$(if $(MEMORY),PYTEST_DEBUG_TEMPROOT=$(MEMORY)) $(BIN)/python -m pytest -q -n $(WORKERS) --ignore=tests/whole

# The tests that start others: servers, killed interpreters, a browser, builds, type checkers, the pages' code, sixty seeds.
test-whole: $(VENV)/ready
	$(if $(MEMORY),PYTEST_DEBUG_TEMPROOT=$(MEMORY)) LAMPLIGHTER_ORDERS=$(ORDERS) $(BIN)/python -m pytest -q -n $(WORKERS_WHOLE) tests/whole

test-all: test test-whole

# With another Django: make test-django PYTHON=python3.13 VENV=.venv-newer, or make test-django VENV=.venv-older
# DJANGO='django<6'. The newest, and its Tasks, need a newer Python than the oldest that the package runs on.
DJANGO ?=
DJANGO_TESTS ?= tests/contrib/django tests/whole/contrib/django
test-django: $(VENV)/ready
	$(if $(DJANGO),$(BIN)/python -m pip install -q '$(DJANGO)')
	$(BIN)/python -m pytest -q -n $(WORKERS) $(DJANGO_TESTS)

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The campaign: make simulate SEEDS=10000. What broke a promise is told with the line that repeats it.
simulate: $(VENV)/ready
	cd tests/campaign && ../../$(BIN)/python -P -m lamplighter simulate workload:scenario --seeds $(SEEDS)

# Plants each bug of tests/campaign/mutants.py, alone, and writes docs/mutants.md.
mutants: $(VENV)/ready
	$(BIN)/python tests/campaign/mutants.py

# The full counts, in real time; docs/reliability.md keeps the figures of its last run.
torture: $(VENV)/ready
	LAMPLIGHTER_TORTURE=1 LAMPLIGHTER_ORDERS=100 $(BIN)/python -m pytest -q -s --timeout=7200 tests/faults tests/history tests/stores/rabbitmq tests/cron/test_cron_oracle.py tests/hashbase $(addprefix tests/whole/,faults hashbase history soak stores/postgresql stores/rabbitmq)
	LAMPLIGHTER_SEEDS=10000 $(BIN)/python -m pytest -q -s --timeout=7200 tests/campaign tests/whole/campaign

# Lamplighter next to what one would use instead, for docs/performance.md. QUICK=1: a look in two minutes; FULL=1: ten
# million jobs too.
bench: $(VENV)/peers
	$(BIN)/python bench/run.py $(if $(QUICK),--quick) $(if $(FULL),--full)
	$(if $(QUICK),,$(BIN)/python bench/profiling.py)

# Where the microseconds of one workload go, in bench/profile.svg: make profile WORKLOAD=chain.
profile: $(VENV)/peers
	$(BIN)/python bench/profiling.py $(WORKLOAD)

# The site of the documentation, in build/site. A warning is an error.
docs: $(VENV)/docs
	$(BIN)/python -P docs/site/build.py

# The picture in the README: what the demo says now.
picture: $(VENV)/ready
	$(BIN)/python docs/draw_demo.py

# The pictures of the page, as the tests of it take them in Chromium.
page-pictures: $(VENV)/ready
	LAMPLIGHTER_PICTURES=docs/pictures $(BIN)/python -m pytest -q tests/whole/web/test_pictures.py

# What this version leaves in each store, for the versions to come; before a release. A released sample stays.
SAMPLES = PYTHONPATH=tests:tests/stores/sqlite/samples:tests/whole/stores/rabbitmq $(BIN)/python -P
samples: $(VENV)/ready
	$(SAMPLES) tests/stores/sqlite/samples/write.py
	$(SAMPLES) tests/whole/stores/samples/write.py

# What is published, in dist: make dist URL=https://github.com/OWNER/NAME. The links of the README then lead there.
dist: $(VENV)/ready
	$(BIN)/python docs/build_dist.py $(URL)

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e ".[dev]"
	touch $@

$(VENV)/peers: $(VENV)/ready
	$(BIN)/python -m pip install -q -e ".[bench]"
	touch $@

$(VENV)/docs: $(VENV)/ready
	$(BIN)/python -m pip install -q -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) demo-data build dist
