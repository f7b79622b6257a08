# Set-up in .venv, step by step; a stamp file for each step makes a second call a matter of no time.
#
#   make demo VIDEO=clip.mp4        PYTHON=python3.12 make install        PIP_OPTIONS="..." goes to every pip install

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= python3
PIP_OPTIONS ?=
PYTEST_OPTIONS ?=
VIDEO ?=

RUN := .venv/bin/python
SAMPLE := work_dirs/sample.mp4
EVERY_FRAME := --cfg-options sampling.active_fps=0
PIP := $(RUN) -m pip --disable-pip-version-check
# pip's log without what is neither a download nor an error.
BRIEFLY := 2>&1 | sed -u -E -e '/^(Looking in|Requirement already|Collecting|Obtaining|Processing|Building wheels|WARNING: Location)/d' \
	-e '/^ *(Using cached|Obtaining|Preparing|Getting|Checking|Attempting|Found existing|Uninstalling|Successfully unin)/d' \
	-e '/^ *(Installing build|Building editable|Created editable|Created wheel|Stored in)/d' -e 's/^ +/  /'
PINS := $(foreach name,core openmmlab openmmlab-nodeps int8 dev,-c requirements/$(name).txt)
INSTALL := $(PIP) install --progress-bar off $(PINS) $(PIP_OPTIONS)
FALLDET := $(INSTALL) --no-build-isolation -e

.PHONY: help demo install test lint docs experiments performance clean

help:  ## Show this list
	@sed -n -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20
	@echo "  Options: VIDEO=clip.mp4  PYTHON=python3.12  PIP_OPTIONS=...  PYTEST_OPTIONS='-k video'"

demo: .venv/.core $(if $(VIDEO),,$(SAMPLE))  ## Find the falls in VIDEO, or in a sample clip that is drawn first
	@echo "== .venv/bin/falldet demo \"$(or $(VIDEO),$(SAMPLE))\""
	@.venv/bin/falldet demo "$(or $(VIDEO),$(SAMPLE))"

install: .venv/.openmmlab  ## Add torch and OpenMMLab, for training

test: .venv/.openmmlab lint docs  ## Set up everything, check the code, build the pages, run the tests
	@echo "== $(RUN) -m pytest -n 2 --dist loadfile $(PYTEST_OPTIONS)"
	@$(RUN) -m pytest -n 2 --dist loadfile $(PYTEST_OPTIONS)

lint: .venv/.core .venv/.dev  ## Check the code with ruff and mypy
	@echo "== ruff and mypy"
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy

docs: .venv/.core .venv/.dev  ## Build the pages of docs/ into work_dirs/site; a warning is an error
	@echo "== mkdocs build"
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet

experiments:  ## List the studies of research/, each with its command
	@sed -n '/^|/p' research/README.md

performance: .venv/.core  ## Make the tables of docs/performance.md, for VIDEO; nothing else should be running
	@test -n "$(VIDEO)" || { echo "name a video of people: make performance VIDEO=clip.mp4" >&2; exit 2; }
	@mkdir -p work_dirs/performance
	@for options in "" "--no-video --cameras 4 6 8 10" "--no-video" "--people 3" "$(EVERY_FRAME)"; do \
		echo "== falldet benchmark $(VIDEO) $$options"; .venv/bin/falldet benchmark "$(VIDEO)" $$options; \
	done | tee work_dirs/performance/stages.md
	@echo "== research.speed.limits"; $(RUN) -m research.speed.limits | tee work_dirs/performance/limits.md
	@echo "== research.speed.compare_peers"; $(RUN) -m research.speed.compare_peers "$(VIDEO)" | tee work_dirs/performance/peers.md

clean:  ## Remove the set-up, the caches and the sample; data, checkpoints and other results stay
	rm -rf .venv falldet.egg-info build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis $(SAMPLE)
	find falldet tests tools configs -name __pycache__ -type d -prune -exec rm -rf {} +

$(SAMPLE): $(wildcard falldet/synthetic/*.py) | .venv/.core
	@echo "== drawing the sample clip $@"
	@mkdir -p $(@D)
	@.venv/bin/falldet sample $@

.venv/.made:
	@echo "== making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "falldet needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv .venv \
		|| { echo "$(PYTHON) can't make environments; on Debian: apt install python3-venv" >&2; exit 2; }
	@touch $@

.venv/.core: .venv/.made requirements/core.txt pyproject.toml setup.py
	@echo "== installing the live side (no torch; about 240 MB to download)"
	@$(INSTALL) setuptools $(BRIEFLY)
	@$(FALLDET) . $(BRIEFLY)
	@touch $@

.venv/.openmmlab: .venv/.core requirements/openmmlab.txt requirements/openmmlab-nodeps.txt
	@$(RUN) -c 'import sys; sys.exit(sys.version_info[:2] >= (3, 13))' \
		|| { echo "OpenMMLab needs Python 3.11 or 3.12; make clean, then make PYTHON=python3.11 ..." >&2; exit 2; }
	@echo "== installing torch and OpenMMLab (about 260 MB to download with a CPU build of torch, several GB with CUDA)"
	@$(FALLDET) ".[openmmlab]" $(BRIEFLY)
	@$(INSTALL) --no-deps -r requirements/openmmlab-nodeps.txt $(BRIEFLY)
	@touch $@

.venv/.dev: .venv/.core requirements/dev.txt requirements/int8.txt
	@echo "== installing pytest, hypothesis, ruff, mypy, mkdocs and nncf"
	@$(FALLDET) ".[dev,int8]" $(BRIEFLY)
	@touch $@
