"""Stage 1 on the miniature: presets of the loss, kinds of labels, crops and averages of videos; several seeds, on the
test split.

    python -m hivau70k_dataset miniature --recipe default --output mini
    python -m training.pretrain_vision --annotations mini --videos mini/videos --output-dir vision
    python benchmarks/bench_scorer.py --model vision/checkpoint --folder mini --output bench

Prints a Markdown table: frame AUC, average precision (step rule) and AUC within videos, mean and standard deviation
over the seeds, and the seconds of one run, of which the first makes the features. Only the train split is trained and
validated on.
"""

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm


ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import train_scorer  # noqa: E402
from hivau70k_dataset.ground_truth import frame_labels, hivau_frame_annotations  # noqa: E402
from hivau70k_dataset.reading import read_annotation_files  # noqa: E402
from hivau70k_dataset.videos import VideoFolder  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402
from modeling_holmes_vau.checkpoint.load import load_checkpoint  # noqa: E402
from training.feature_cache import FeatureCache  # noqa: E402
from training.scorer_trainer import LabelledVideo, measure  # noqa: E402


STEPS, PAIRS = 300, 16  # of optimisation, and pairs of videos in each: the miniature is small
SHORT = 32  # snippets: most videos of the miniature have more, and fewer than UR-DMU's 200
# Options of a run; of the weights those that differ from the preset.
MEAN = {"frame": 1.0, "frame_sum": 0.0}
RUNS = {
    "default: UR-DMU's weights": {},
    "paper (Eq. 5 and 6)": {"preset": "paper"},
    "paper, but a mean over time in Eq. 5": {"preset": "paper", "loss_weights": MEAN},
    "frame term alone": {"preset": "paper", "loss_weights": {**MEAN, "triplet": 0.0, "kl": 0.0}},
    "default, video labels alone": {"supervision": "video"},
    "default, averaged to 200": {"lengths": "average"},
    "paper, averaged to 200": {"preset": "paper", "lengths": "average"},
    f"default, crops of {SHORT}": {"max_snippets": SHORT},
    f"default, averaged to {SHORT}": {"max_snippets": SHORT, "lengths": "average"},
}


def load_test(model_dir: str, folder: Path, features_dir: Path) -> list[LabelledVideo]:
    """Features and labels of the test videos."""
    model, processor = load_checkpoint(model_dir)
    cache, videos = FeatureCache(features_dir, model, processor), []
    entries = [entry for entry in read_annotation_files(folder).annotations if entry.split == "test"]
    found = VideoFolder(folder / "videos")
    for entry in tqdm(entries, "test features", unit="video"):
        cache.extract(entry.whole_path, found.find(entry).path)
        features = cache.load(entry.whole_path).features
        labels = frame_labels(hivau_frame_annotations([entry])[entry.video])
        videos.append(LabelledVideo(entry.video, features, labels, bool(entry.labels), processor.frame_stride))
    return videos


def options_of(name: str) -> dict[str, str | int]:
    """What sets a row apart, as options of `train_scorer.py`."""
    options = {"preset": "default", **RUNS[name]}
    return options | {"loss_weights": json.dumps(options.get("loss_weights", {}))}


def folder_of(name: str) -> str:
    """The folder of a row's runs, which a row that is added does not move."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def main(argv: list[str] | None = None) -> None:
    """Train and measure; what is done already is not done again."""
    parser = Parser("bench_scorer", description="Stage 1 on the miniature.")
    parser.add_argument("--model", required=True, help="checkpoint with the pretrained vision tower")
    parser.add_argument("--folder", required=True, help="the miniature, default recipe")
    parser.add_argument("--output", required=True, help="folder for runs, features and results.json")
    parser.add_argument("--seeds", type=int, default=3, help="how many (%(default)s)")
    args, training = parser.parse_known_args(argv)
    folder, output = Path(args.folder), Path(args.output)
    test = load_test(args.model, folder, output / "features")
    path = output / "results.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    for name in RUNS:
        for seed in range(args.seeds):
            if f"{name} {seed}" in results:
                continue
            run = output / f"{folder_of(name)}_seed{seed}"
            options = {
                "config": ROOT / "configs" / "scorer.yaml",
                "model": args.model,
                "annotations": folder,
                "videos": folder / "videos",
                "features_dir": output / "features",
                "output_dir": run,
                **options_of(name),
                "seed": seed,
                "max_steps": STEPS,
                "per_device_train_batch_size": PAIRS,
                "report_to": "none",
                "disable_tqdm": True,
            }
            start = time.perf_counter()
            train_scorer.main([part for key, value in options.items() for part in (f"--{key}", str(value))] + training)
            seconds = time.perf_counter() - start
            scorer = load_checkpoint(run / "checkpoint")[0].anomaly_scorer
            with torch.no_grad():
                results[f"{name} {seed}"] = {**measure(scorer, test), "seconds": seconds}
            path.write_text(json.dumps(results, indent=2) + "\n")
    print(table(results, args.seeds))


def table(results: dict[str, dict[str, float]], seeds: int) -> str:
    """The results as Markdown."""
    lines = ["| loss, labels, lengths | AUC | AP | AUC within videos | seconds |", "|---|---|---|---|---|"]
    for name in RUNS:
        rows = [results[f"{name} {seed}"] for seed in range(seeds)]
        cells = [
            f"{np.mean([row[key] for row in rows]):.3f} ± {np.std([row[key] for row in rows]):.3f}"
            for key in ("auc", "ap", "auc_within")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {np.mean([row['seconds'] for row in rows]):.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
