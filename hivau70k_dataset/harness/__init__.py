"""HIVAU-70k as tasks of lmms-eval; `python -m hivau70k_dataset.harness` prints the folder for its `--include_path`."""

from pathlib import Path


TASKS_FOLDER = Path(__file__).parent / "tasks"
