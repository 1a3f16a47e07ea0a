# Each target makes .venv by itself. `make demo` and `make test` are all a newcomer needs.
# `make test PYTHON=python3.13` does the same beside it, in .venv-python3.13.
PYTHON ?= python3
VENV := $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
RUN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FAST := -m "not slow"

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench clean

help:
	@echo "make demo    all three stages at small size, then demo/report.html (about 5 minutes on 2 cores)"
	@echo "make test    all tests"
	@echo "make check   format, lint, types, fast tests"
	@echo "make format  rewrite the sources in the house format"
	@echo "make bench   speed benchmarks"
	@echo "make clean   remove .venv and demo/"

# torch first: the later install then keeps whichever build this gave.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(INSTALLED)
	PATH="$(abspath $(RUN)):$$PATH" bash runs/demo.sh demo

test: $(INSTALLED)
	$(RUN)/python -m pytest -q -n auto --dist loadfile

check: $(INSTALLED)
	$(RUN)/ruff format --check src tests speed runs
	$(RUN)/ruff check src tests speed runs
	$(RUN)/mypy
	$(RUN)/python -m pytest -q -n auto --dist loadfile $(FAST)

format: $(INSTALLED)
	$(RUN)/ruff format src tests speed runs
	$(RUN)/ruff check --fix src tests speed runs

bench: $(INSTALLED)
	$(RUN)/python -m pytest speed --benchmark-enable --benchmark-only -q
	$(RUN)/python speed/bench_vocabulary.py

clean:
	rm -rf .venv .venv-* demo
