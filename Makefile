PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The stamp is newer than what it installs from, so a second call does nothing.
STAMP := $(VENV)/.installed

.PHONY: setup demo test lint format clean

$(STAMP): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

setup: $(STAMP)

demo/street.mp4: $(STAMP)
	$(BIN)/python -m hivau70k_dataset.miniature --output $@

demo: demo/street.mp4
	$(BIN)/holmes-vau analyze demo/street.mp4 --output demo/analysis

test: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -rs

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo build *.egg-info
