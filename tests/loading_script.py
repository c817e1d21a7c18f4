"""The builder file as a loading script, as datasets 3.x runs it: `make test-datasets3` runs this with that version."""

import os
import sys
import tempfile
from pathlib import Path


ROOT = Path(__file__).resolve().parents[1]
SCRIPT = str(ROOT / "hivau70k_dataset" / "builder.py")
ROWS = {"all": 17, "clip": 4, "event": 8, "video": 5, "detection": 2, "annotations": 2}


def main(folder: str) -> None:
    """Load every configuration, prepared and streamed, with caches in `folder`."""
    os.environ.update(HF_HOME=f"{folder}/home", HF_HUB_OFFLINE="1")  # before datasets reads them
    sys.path.insert(0, str(ROOT))

    import datasets

    from tests.annotations import write_release

    assert datasets.__version__.startswith("3."), datasets.__version__
    options = {"data_dir": str(write_release(Path(folder) / "release")), "trust_remote_code": True}
    for name, rows in ROWS.items():
        table = datasets.load_dataset(SCRIPT, name, split="test", **options)
        assert table.num_rows == rows, (name, table.num_rows)
        assert next(iter(datasets.load_dataset(SCRIPT, name, split="test", streaming=True, **options))) == table[0]
    print(f"datasets {datasets.__version__}: the loading script gives {ROWS}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        main(cache)
