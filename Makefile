# Two commands are enough: `make demo` and `make test`. Both make the environment in .venv first, if need be.
PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

OLDEST := .venv/oldest/bin/python
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist
TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)

.PHONY: demo test unit oldest check bench finding experiments docs links notebooks clean help

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

demo: .venv/demo.stamp  ## the main job on the embedded model: a table, and results/demo/report.html (QUICK=1: short)
	$(BIN)/steerlens demo $(if $(QUICK),--quick)

test: check  ## lint, types and all tests
	$(PYTEST) loadfile tests/unit docs
	$(PYTEST) worksteal tests/integration
	$(BIN)/python -m pytest tests/browser

unit: .venv/dev.stamp  ## the tests that need no real model
	$(PYTEST) loadfile tests/unit docs

oldest: .venv/oldest.stamp  ## the unit tests with the oldest versions that pyproject.toml names (TORCH=2.6.0: with that torch)
	$(OLDEST) -m pip --disable-pip-version-check install --quiet torch==$(TORCH)
	OMP_NUM_THREADS=1 $(OLDEST) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile tests/unit

check: .venv/dev.stamp  ## ruff's lint and format, and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

GPU = $(filter cuda%,$(DEVICE))
bench: .venv/dev.stamp $(if $(GPU)$(SHAPE),,.venv/steering-vectors.stamp)  ## jobs against the obvious way, another package, the floor (QUICK=1: short; DEVICE=cuda SHAPE=gemma-3-4b)
	TQDM_DISABLE=1 $(BIN)/python experiments/benchmark/run.py $(if $(DEVICE),--device $(DEVICE)) $(if $(SHAPE),--shape $(SHAPE)) \
		$(if $(GPU)$(SHAPE),,--steering-vectors .venv/steering-vectors/bin/python) $(if $(QUICK),--quick,$(if $(GPU),--docs,$(if $(SHAPE),,--docs)))

finding: .venv/dev.stamp  ## the paper's finding on one model, with a verdict on each part (MODEL=…: a name, a folder or a file)
	$(BIN)/python -m experiments.finding.run $(if $(MODEL),--model '$(MODEL)')

experiments: .venv/dev.stamp  ## run every experiment again, and say which tables changed (MODEL=…: on another model)
	for name in finding choosing public across pairs controls variants alignment; do $(BIN)/python -m experiments.$$name.run $(if $(MODEL),--model '$(MODEL)') || exit 1; done
	$(if $(MODEL),,$(BIN)/python -m experiments.planted.run)
	$(BIN)/python -m pytest -q tests/unit/test_experiments.py -k committed

docs: .venv/dev.stamp  ## the documentation as a site, in build/docs; a warning is an error
	$(BIN)/python -m sphinx -E -W --keep-going -q -b html docs build/docs
	@echo build/docs/index.html

links:  ## links to the web that the pages have (those inside are tested)
	@$(PYTHON) docs/links.py

notebooks: .venv/dev.stamp  ## run the notebooks and keep their outputs (pictures need Chrome or Chromium)
	TQDM_DISABLE=1 PLOTLY_RENDERER=png+plotly_mimetype $(BIN)/python -m nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False notebooks/*.ipynb

.venv/demo.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet --constraint constraints.txt --editable '.[demo]'
	touch $@

.venv/dev.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet --constraint constraints.txt --editable '.[demo,atlas,dev,docs]'
	touch $@ .venv/demo.stamp

.venv/oldest.stamp: pyproject.toml tests/oldest.py
	$(PYTHON) -m venv --clear .venv/oldest
	$(PYTHON) tests/oldest.py > .venv/oldest.txt
	$(OLDEST) -m pip --disable-pip-version-check install --quiet --constraint .venv/oldest.txt torch==$(TORCH) --editable '.[demo,atlas,dev]'
	touch $@

.venv/steering-vectors.stamp: Makefile  # another package, in an environment of its own: it needs an older transformers
	$(PYTHON) -m venv .venv/steering-vectors
	.venv/steering-vectors/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 steering-vectors==0.12.2
	touch $@

clean:  ## remove the environment and caches of tools; the converted model stays in its cache folder
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache build *.egg-info
