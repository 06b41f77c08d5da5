# `make demo` and `make test` do everything on a fresh machine with Python 3.11, make and a compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test test-full lint docs notebook results bench bench-paths bench-short bench-quality bench-distributed bench-check \
	reliability clean

install: $(STAMP)

$(STAMP): setup.py constraints.txt torch_geometric_dsom/version.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

demo: install
	$(BIN)/python -m torch_geometric_dsom train --dataset EmojiWorld --compare --out runs/demo --overwrite

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: install lint
	$(BIN)/python -m pytest

test-full: install lint
	$(BIN)/python -m pytest -m ''

docs: install
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

notebook: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[notebook]'
	PYTHONWARNINGS=ignore $(BIN)/jupyter-execute --inplace examples/quickstart.ipynb

STUDIES ?= emoji_world

# STUDIES="emoji_world wn9 mkg_y mkg_w" for those that were run; the benchmark graphs come from DSOM_DATA or the network.
results: install
	for study in $(STUDIES); do $(BIN)/python benchmarks/results/run.py benchmarks/results/$$study.json || exit 1; done
	$(BIN)/python benchmarks/results/tables.py
	$(BIN)/python benchmarks/results/figures.py

bench: install
	$(BIN)/python benchmarks/speed/run.py

bench-paths: install
	$(BIN)/python benchmarks/speed/paths.py --write

bench-distributed: install
	$(BIN)/python benchmarks/distributed/run.py --million

bench-short: install
	$(BIN)/python benchmarks/speed/run.py --short

bench-quality: install
	$(BIN)/python benchmarks/speed/run.py --quality

bench-check: install
	$(BIN)/python benchmarks/speed/run.py --check

reliability: install
	$(BIN)/python benchmarks/reliability/run.py

clean:
	rm -rf $(VENV) runs build dist *.egg-info
