"""Prints where the tasks are: `lmms-eval --include_path $(python -m hivau70k_dataset.harness) ...`."""

from . import TASKS_FOLDER


if __name__ == "__main__":
    print(TASKS_FOLDER)
