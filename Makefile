# Two commands: `make film` (PROMPT="..." for your own sentence) and `make test`. Both can be run again at any time.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PROMPT ?= a red ball rolls to the right on the grass
FILM ?= films/film.mp4
# The first Python that is new enough and can make environments; name another with PYTHON=...
FITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	if $$name -c '$(FITS)' 2>/dev/null; then echo $$name; break; fi; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Threads that wait asleep: on a machine that is busy with other work, spinning ones made a film ten times slower (docs/log.md).
export OMP_WAIT_POLICY ?= PASSIVE

# Unexpanded, so that a sentence may hold a $ or a quotation mark.
export KINORA_PROMPT := $(value PROMPT)
export KINORA_FILM := $(value FILM)

.PHONY: help film serve test test-slow soak clean

help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

# An environment that works is kept, a half-made one is made anew.
.venv/made.stamp:
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		"$(PYTHON)" -c '$(FITS)' 2>/dev/null || { \
			echo "Kinora needs Python 3.11 or newer with venv (Debian, Ubuntu: apt install python3-venv)."; \
			echo "None was found; name one: make film PYTHON=/path/to/python3"; \
			exit 2; }; \
		echo "making .venv with $(PYTHON)"; \
		"$(PYTHON)" -m venv --clear .venv; \
	fi
	@touch $@

# The stamps are written last, so that an interrupted installation starts again.
.venv/film.stamp: pyproject.toml constraints.txt | .venv/made.stamp
	@echo "installing what a film needs (the first time takes a few minutes)"
	@$(PIP) -c constraints.txt -e '.[film]'
	@touch $@

.venv/service.stamp: pyproject.toml constraints.txt | .venv/made.stamp
	@echo "installing what the service needs (the first time takes a few minutes)"
	@$(PIP) -c constraints.txt -e '.[service]'
	@touch $@ .venv/film.stamp

.venv/dev.stamp: pyproject.toml constraints.txt | .venv/made.stamp
	@echo "installing what the tests need"
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@ .venv/film.stamp .venv/service.stamp

film: .venv/film.stamp  ## make a film of PROMPT and say where it lies (films/film.mp4, made anew each time)
	@mkdir -p "$$(dirname "$$KINORA_FILM")"
	@$(BIN)/kinora generate "$$KINORA_PROMPT" -o "$$KINORA_FILM" --force >/dev/null
	@echo "your film lies in $$KINORA_FILM"

serve: .venv/service.stamp  ## serve films on this machine: API, queue, worker (KINORA_... settings: docs/operations.md)
	@$(BIN)/kinora serve

test: .venv/dev.stamp  ## style, types, layers, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

test-slow: .venv/dev.stamp  ## the tests that take minutes or gigabytes (models at their true size)
	$(BIN)/pytest -m slow

soak: .venv/dev.stamp  ## the service's promises in their long forms (hours; docs/reliability.md)
	bash runs/soak.sh

clean:  ## remove .venv and the caches (films stay)
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
