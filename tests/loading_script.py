"""The builder file as a loading script, as datasets 3.x runs it: `make test-datasets3` runs this with that version."""

import os
import sys
import tempfile
from pathlib import Path


ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
with tempfile.TemporaryDirectory() as folder:
    os.environ.update(HF_HOME=f"{folder}/home", HF_HUB_OFFLINE="1")  # before datasets reads them

    import datasets

    from tests.annotations import write_release

    assert datasets.__version__.startswith("3."), datasets.__version__
    source = write_release(Path(folder) / "release")
    expected = {"all": 17, "clip": 4, "event": 8, "video": 5, "detection": 2, "annotations": 2}
    for name, rows in expected.items():
        options = {"data_dir": str(source), "trust_remote_code": True}
        table = datasets.load_dataset(str(ROOT / "hivau70k_dataset" / "builder.py"), name, split="test", **options)
        assert table.num_rows == rows, (name, table.num_rows)
        stream = datasets.load_dataset(
            str(ROOT / "hivau70k_dataset" / "builder.py"), name, split="test", streaming=True, **options
        )
        assert next(iter(stream)) == table[0]
    print(f"datasets {datasets.__version__}: the loading script gives {expected}")
