PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The stamp is newer than what it installs from, so a second call does nothing.
STAMP := $(VENV)/.installed

.PHONY: setup demo test test-datasets3 lint format clean

$(STAMP): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

setup: $(STAMP)

demo/street.mp4: $(STAMP)
	$(BIN)/python -m hivau70k_dataset.demo --output $@

demo: demo/street.mp4
	$(BIN)/holmes-vau analyze demo/street.mp4 --output demo/analysis

test: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -rs

# datasets 3.x, the last to run loading scripts, lives in an environment of its own.
$(VENV)-datasets3/.installed:
	$(PYTHON) -m venv $(VENV)-datasets3
	$(VENV)-datasets3/bin/python -m pip install --quiet "datasets==3.6.0"
	touch $@

test-datasets3: $(VENV)-datasets3/.installed
	$(VENV)-datasets3/bin/python tests/loading_script.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(VENV)-datasets3 demo build *.egg-info
