PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The stamp is newer than what it installs from, so a second call does nothing.
STAMP := $(VENV)/.installed

.PHONY: setup demo demo-videos web space mini mini-code test test-datasets3 test-harness test-vllm lint format clean

$(STAMP): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

setup: $(STAMP)

# Two videos that no training has seen: one with an anomaly, one with its ordinary look-alike.
demo-videos: $(STAMP)
	$(BIN)/python -m hivau70k_dataset miniature --split test --videos 2 --seed 231 --size 336 --output demo

demo: demo-videos
	$(BIN)/holmes-vau analyze demo/videos --output demo/analysis

# A page in the browser, which offers the two.
web: demo-videos
	$(BIN)/holmes-vau web --videos demo/videos

# All that a Hugging Face Space of the page needs, in one folder.
space:
	rm -rf build/space
	mkdir -p build/space/checkpoints
	cp space/README.md space/app.py space/requirements.txt build/space/
	cp -r modeling_holmes_vau hivau70k_dataset build/space/
	cp -r checkpoints/holmes-vau-mini build/space/checkpoints/

test: $(STAMP)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -rs --durations=15 -n auto --maxprocesses 4 --dist loadfile

# checkpoints/holmes-vau-mini, from nothing. Every step goes on where it was stopped.
MINI := runs/mini
# bfloat16 where the machine computes fast in it: on most CPUs it is many times slower.
BF16 = $(shell $(BIN)/python -c "from training.runs import has_fast_bfloat16 as f; print(f())")
DATA := --annotations $(MINI)/data --videos $(MINI)/data/videos

$(MINI)/data/raw_annotations/miniature_test.jsonl: | $(STAMP)
	@command -v java > /dev/null || { echo "make mini needs a Java runtime (8 or newer) for METEOR: install one"; exit 1; }
	$(BIN)/python -m hivau70k_dataset miniature --videos 1500 --output $(MINI)/data
	$(BIN)/python -m hivau70k_dataset miniature --split test --videos 120 --output $(MINI)/data

$(MINI)/vision/checkpoint/README.md: | $(MINI)/data/raw_annotations/miniature_test.jsonl
	$(BIN)/python -m training.pretrain_vision --config configs/mini/vision.yaml $(DATA) --output-dir $(MINI)/vision

$(MINI)/scorer/checkpoint/processor_config.json: | $(MINI)/vision/checkpoint/README.md
	$(BIN)/python train_scorer.py --config configs/mini/scorer.yaml --model $(MINI)/vision/checkpoint $(DATA) --features-dir $(MINI)/features --output-dir $(MINI)/scorer

$(MINI)/align/checkpoint/README.md: | $(MINI)/scorer/checkpoint/processor_config.json
	$(BIN)/python train_sft.py --config configs/mini/align.yaml --bf16 $(BF16) --model $(MINI)/scorer/checkpoint $(DATA) --feature-cache $(MINI)/tower --output-dir $(MINI)/align

$(MINI)/captions/checkpoint/README.md: | $(MINI)/align/checkpoint/README.md
	$(BIN)/python train_sft.py --config configs/mini/captions.yaml --bf16 $(BF16) --model $(MINI)/align/checkpoint $(DATA) --feature-cache $(MINI)/tower --output-dir $(MINI)/captions

$(MINI)/retell/checkpoint/README.md: | $(MINI)/captions/checkpoint/README.md
	$(BIN)/python train_sft.py --config configs/mini/retell.yaml --bf16 $(BF16) --model $(MINI)/captions/checkpoint $(DATA) --feature-cache $(MINI)/tower --output-dir $(MINI)/retell

$(MINI)/sft/adapter/training.json: | $(MINI)/retell/checkpoint/README.md
	$(BIN)/python train_sft.py --config configs/mini/sft.yaml --bf16 $(BF16) --model $(MINI)/retell/checkpoint $(DATA) --feature-cache $(MINI)/tower --output-dir $(MINI)/sft

$(MINI)/merged/config.json: | $(MINI)/sft/adapter/training.json
	$(BIN)/holmes-vau merge --half --adapter $(MINI)/sft/adapter --output $(MINI)/merged

mini: $(MINI)/merged/config.json
	$(BIN)/python eval/detection.py --model $(MINI)/merged $(DATA) --output $(MINI)/detection
	$(BIN)/python eval/reasoning.py predict --model $(MINI)/merged $(DATA) --batch-size 16 --output $(MINI)/predictions.jsonl
	$(BIN)/python eval/reasoning.py score --predictions $(MINI)/predictions.jsonl --annotations $(MINI)/data --output $(MINI)/scores
	$(BIN)/python eval/general.py predict --model $(MINI)/merged $(DATA) --batch-size 16 --output $(MINI)/general.jsonl
	$(BIN)/python eval/general.py score --predictions $(MINI)/general.jsonl --output $(MINI)/general
	$(BIN)/python benchmarks/mini_card.py --run $(MINI) --output checkpoints/holmes-vau-mini

# A checkpoint carries a copy of the code that runs it; a test says when this is due.
mini-code:
	rm -f checkpoints/*/*.py
	for checkpoint in checkpoints/*/; do cp modeling_holmes_vau/*_holmes_vau.py $$checkpoint; done

# datasets 3.x, the last to run loading scripts, lives in an environment of its own.
$(VENV)-datasets3/.installed:
	$(PYTHON) -m venv $(VENV)-datasets3
	$(VENV)-datasets3/bin/python -m pip install --quiet "datasets==3.6.0"
	touch $@

test-datasets3: $(VENV)-datasets3/.installed
	$(VENV)-datasets3/bin/python tests/loading_script.py

# lmms-eval lives in one too: it is not for filelock 4. It is asked for by what is installed there, not by what lies here.
$(VENV)-harness/.installed: setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)-harness
	grep -v "^filelock==" constraints.txt > $(VENV)-harness/constraints.txt
	$(VENV)-harness/bin/python -m pip install --quiet --constraint $(VENV)-harness/constraints.txt ".[harness]"
	$(VENV)-harness/bin/python -m pip install --quiet --no-deps "lmms_eval==0.7.3"
	touch $@

test-harness: $(STAMP) $(VENV)-harness/.installed
	$(VENV)-harness/bin/python -m pip install --quiet --no-deps --force-reinstall .
	HOLMES_VAU_HARNESS=$(abspath $(VENV))-harness/bin/python OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -rs tests/test_harness.py

# vLLM for CPUs, and `transformers serve`, on what `holmes-vau export` writes (docs/serving.md). pip must find PyTorch's
# build for CPUs. Not part of `.ci/run`: the environment takes 4 GB.
$(VENV)-vllm/.installed: tests/vllm_environment.py
	$(PYTHON) tests/vllm_environment.py $(VENV)-vllm
	touch $@

test-vllm: $(STAMP) $(VENV)-vllm/.installed
	HOLMES_VAU_VLLM=$(abspath $(VENV))-vllm/bin/python OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -rs tests/test_vllm.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(VENV)-datasets3 $(VENV)-harness $(VENV)-vllm demo build *.egg-info
