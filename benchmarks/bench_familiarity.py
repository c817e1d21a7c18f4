"""How well a checkpoint tells videos that look like those of its training from others.

    python benchmarks/bench_familiarity.py --known mini/videos/miniature/videos/test --other DIR [--model DIR]

Every video is one; the ROC AUC of the distances and the shares above the checkpoint's limit are told.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from modeling_holmes_vau.base.files import write_whole  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402
from modeling_holmes_vau.base.progress import Progress  # noqa: E402
from modeling_holmes_vau.base.scan import scan_folder  # noqa: E402
from modeling_holmes_vau.checkpoint.load import load_on_device  # noqa: E402
from training.looks import picture_statistics  # noqa: E402


def build_parser() -> Parser:
    """The parser of this benchmark."""
    parser = Parser("bench_familiarity.py", description="Distances of videos from the looks of the training.")
    parser.add_argument("--known", required=True, metavar="DIR", help="videos like those of the training")
    parser.add_argument("--other", required=True, metavar="DIR", help="videos of another kind")
    parser.add_argument("--model", metavar="DIR", help="checkpoint folder or Hub name; default: the one in the box")
    parser.add_argument("--device", help="default: the fastest there is")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args: argparse.Namespace = build_parser().parse_args(argv)
    model, processor = load_on_device(args.model, args.device, "auto")
    if model.familiarity is None:
        raise SystemExit("the checkpoint does not know how its training looked: train_scorer.py --familiarity-videos")
    distances = {}
    for name in ("known", "other"):
        videos = Progress(list(scan_folder(vars(args)[name]).files), name, unit="video")
        distances[name] = [
            model.familiarity.distance(picture_statistics(model, processor, video, 32)) for video in videos
        ]
    limit, known, other = float(model.familiarity.limit), *map(np.array, distances.values())
    truth = np.repeat([0, 1], [len(known), len(other)])
    figures = {"limit": limit, "auc": float(roc_auc_score(truth, np.concatenate([known, other])))}
    for name, found in (("known", known), ("other", other)):
        figures |= {f"{name}, videos": len(found), f"{name}, above the limit": float((found > limit).mean())}
        figures |= {f"{name}, least": float(found.min()), f"{name}, most": float(found.max())}
    for name, value in figures.items():
        print(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")
    if args.json:
        write_whole(Path(args.json), json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
