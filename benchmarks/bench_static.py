"""What skipping still frames saves and costs: the share skipped, and AUC and AP of the scores with and without.

    python benchmarks/bench_static.py --annotations mini --videos mini/videos [--others DIR] [--model DIR] [--limit N]

The annotated videos are encoded once; the frames that the rule skips then take the class token of the last one before
them that it keeps, as `--skip-static` does. The rule is also measured with its limits scaled. AUC and AP are over the
scored frames of all videos. Of the videos below `--others` only the share is told.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hivau70k_dataset.reading import read_annotation_files  # noqa: E402
from hivau70k_dataset.videos import VideoFolder  # noqa: E402
from modeling_holmes_vau.base.files import write_whole  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402
from modeling_holmes_vau.base.progress import Progress  # noqa: E402
from modeling_holmes_vau.base.scan import scan_folder  # noqa: E402


SCALES = (0.5, 1.0, 2.0, 4.0)  # of the limits of the rule


def build_parser() -> Parser:
    """The parser of this benchmark."""
    parser = Parser("bench_static.py", description="Share of still frames, and detection with and without them.")
    parser.add_argument("--annotations", required=True, metavar="DIR", help="folder of annotation files")
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder of the videos")
    parser.add_argument("--split", default="test", help="of the annotations (test)")
    parser.add_argument("--others", metavar="DIR", help="videos of which the share alone is told")
    parser.add_argument("--model", metavar="DIR", help="checkpoint folder or Hub name; default: the one in the box")
    parser.add_argument("--device", help="default: the fastest there is")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N videos")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    return parser


@contextmanager
def scaled(scale: float) -> Iterator[None]:
    """The rule with its limits times `scale`."""
    from modeling_holmes_vau import static_holmes_vau as rule

    before = rule.NOISE_FACTOR, rule.LEAST_CHANGE
    rule.NOISE_FACTOR, rule.LEAST_CHANGE = scale * before[0], scale * before[1]
    try:
        yield
    finally:
        rule.NOISE_FACTOR, rule.LEAST_CHANGE = before


def new_frames(chunks: list, scale: float = 1.0) -> np.ndarray:
    """Which dense frames the rule would encode, `(num_dense,)`."""
    from modeling_holmes_vau.static_holmes_vau import StillFrames

    still = StillFrames()
    with scaled(scale):
        return np.array([still.is_new(frame) for chunk in chunks for frame in chunk.frames])


def dense_chunks(reader, processor, batch_size: int) -> list:
    """The dense frames of an opened video, resized."""
    from modeling_holmes_vau.frame_rule_holmes_vau import dense_frame_indices
    from modeling_holmes_vau.video_processing_holmes_vau import FrameStream

    indices = dense_frame_indices(reader.num_frames, processor.frame_stride)
    return list(FrameStream(reader, indices, processor.image_size, batch_size))


def measure_video(path: str, events: list[tuple[float, float]], model, processor) -> dict[str, np.ndarray]:
    """Of each dense frame: whether it is abnormal, its score, and by scale whether it is new and its score then."""
    from modeling_holmes_vau.encoder_holmes_vau import VideoEncoder
    from modeling_holmes_vau.video_reader_holmes_vau import open_video

    with open_video(path, processor.video_backend) as reader:
        chunks = dense_chunks(reader, processor, model.config.encode_batch_size)
    encoder = VideoEncoder(model, keep=())
    for chunk in chunks:
        encoder.push(chunk)
    times_s = np.array(encoder.dense_times_s)
    truth = np.zeros(len(times_s), dtype=bool)
    for start_s, end_s in events:
        truth |= (times_s >= start_s) & (times_s < end_s)
    found = {"truth": truth, "scores": encoder.scores().numpy()}
    for scale in SCALES:
        found[f"new {scale:g}"] = new = new_frames(chunks, scale)
        source = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
        found[f"scores {scale:g}"] = model.score_features(encoder.class_tokens[source]).numpy()
    return found


def rows_of(found: list[dict[str, np.ndarray]]) -> list[dict]:
    """The rows of the table: encoding all frames, then the rule at each scale."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    joined = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    truth, rows = joined["truth"], []
    for name in ("", *(f" {scale:g}" for scale in SCALES)):
        scores, still = joined[f"scores{name}"], ~joined[f"new{name}"] if name else np.zeros(len(truth), dtype=bool)
        rows.append(
            {
                "limits": f"x{name.strip()}" if name else "all frames encoded",
                "skipped": float(still.mean()),
                "skipped of normal": float(still[~truth].mean()),
                "skipped of abnormal": float(still[truth].mean()),
                "auc": float(roc_auc_score(truth, scores)),
                "ap": float(average_precision_score(truth, scores)),
                "largest change of a score": float(np.abs(scores - joined["scores"]).max()),
            }
        )
    return rows


def measure(args: argparse.Namespace, model, processor) -> list[dict[str, np.ndarray]]:
    """What `measure_video` gives of each annotated video."""
    folder, found = VideoFolder(args.videos), []
    entries = [entry for entry in read_annotation_files(args.annotations).annotations if entry.split == args.split]
    for entry in Progress(entries[: args.limit], "videos", unit="video"):
        if (file := folder.find(entry)) is None:
            raise ValueError(f"{entry.whole_path} is not under {args.videos}: every annotated video is needed.")
        events = [(event.start_s, event.end_s) for event in entry.events] if entry.labels else []
        found.append(measure_video(file.path, events, model, processor))
    return found


def shares(folder: str, processor) -> dict[str, float]:
    """The share that is skipped of each video below a folder."""
    from modeling_holmes_vau.video_reader_holmes_vau import open_video

    told = {}
    for path in Progress(list(scan_folder(folder).files), "others", unit="video"):
        with open_video(path, processor.video_backend) as reader:
            told[Path(path).name] = float(1 - new_frames(dense_chunks(reader, processor, 16)).mean())
    return told


def main(argv: list[str] | None = None) -> dict:
    """Measure and print."""
    from modeling_holmes_vau.checkpoint.load import load_on_device

    args = build_parser().parse_args(argv)
    model, processor = load_on_device(args.model, args.device, "auto")
    found = measure(args, model, processor)
    figures = {"videos": len(found), "frames": sum(len(one["truth"]) for one in found), "rows": rows_of(found)}
    print(f"{figures['videos']} videos, {figures['frames']} scored frames\n")
    names = list(figures["rows"][0])
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in figures["rows"]:
        print("| " + " | ".join(f"{v:.4f}" if isinstance(v, float) else v for v in row.values()) + " |")
    if args.others:
        figures["others"] = shares(args.others, processor)
        print("\n| video | skipped |\n|---|---|")
        for name, share in figures["others"].items():
            print(f"| {name} | {share:.1%} |")
    if args.json:
        write_whole(Path(args.json), json.dumps(figures, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    main()
