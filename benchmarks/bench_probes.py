"""Where colours and persons get lost: what a linear layer can tell about each person from every stage of a model.

    python benchmarks/bench_probes.py --folder mini [--model DIR] [--videos N] [--json FILE]

Of each person in single frames of the miniature it is known where they are, who, in what colour, and what they do. A
linear layer is trained on the train split to tell that from (1) the mean colour of the middle of the person's box,
(2) the patch token of the vision tower there, (3) what pixel shuffle and projector make of it, which is what the
language model sees, and (4) the class token; and measured on the test split, whose places have other layouts. What
falls between two stages is lost there; what the third stage tells and the words do not say is lost in the language
model.
"""

import argparse
import json
import sys
from pathlib import Path

import torch


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hivau70k_dataset.miniature.asking import PEOPLE  # noqa: E402
from hivau70k_dataset.miniature.figures import COATS  # noqa: E402
from hivau70k_dataset.miniature.sight import DOING  # noqa: E402
from hivau70k_dataset.regions import Region, read_regions, regions_file  # noqa: E402
from hivau70k_dataset.schema import SYNTHETIC_SOURCE  # noqa: E402
from modeling_holmes_vau.base.files import write_whole  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402
from modeling_holmes_vau.base.progress import Progress  # noqa: E402
from modeling_holmes_vau.checkpoint.load import load_on_device  # noqa: E402
from modeling_holmes_vau.video_processing_holmes_vau import resize_frames  # noqa: E402
from modeling_holmes_vau.video_reader_holmes_vau import open_video  # noqa: E402


EVERY = 32  # frames between two that are probed
STEPS, RATE = 400, 0.05  # of the linear layer: all rows at once
TARGETS = {"colour": COATS, "who": PEOPLE, "doing": tuple(dict.fromkeys(DOING.values()))}
STAGES = ("pixels", "patch token", "projected token", "class token")


def build_parser() -> Parser:
    """The parser of this benchmark."""
    parser = Parser("bench_probes.py", description="What a linear layer tells about persons from each stage.")
    parser.add_argument("--folder", required=True, metavar="DIR", help="a miniature set with both splits")
    parser.add_argument("--model", metavar="DIR", help="checkpoint folder or Hub name; default: the one in the box")
    parser.add_argument("--videos", type=int, default=400, metavar="N", help="train videos to learn from (400)")
    parser.add_argument("--device", help="default: the fastest there is")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    return parser


@torch.no_grad()
def read_stages(
    model, processor, folder: Path, split: str, limit: int | None
) -> tuple[dict[str, torch.Tensor], list[Region]]:
    """What each stage has of every person that shows, `(persons, width)` each, and their regions."""
    stages, persons = {stage: [] for stage in STAGES}, []
    videos = list(read_regions(regions_file(folder, SYNTHETIC_SOURCE, split)).values())[:limit]
    for video in Progress(videos, f"reading {split}", unit="video"):
        frames = {n: [r for r in found if r.labels and r.labels[0] in PEOPLE] for n, found in video.frames.items()}
        frames = {n: found for n, found in frames.items() if found and n % EVERY == 0}
        if not frames:
            continue
        with open_video(folder / "videos" / video.video) as reader:
            pixels = resize_frames(reader.read(list(frames)), processor.image_size)
        tokens = model.encode_frames(pixels.to(model.device))
        projected = model.project_frames(tokens[:, 1:])
        for row, found in enumerate(frames.values()):
            for region in found:
                stages["pixels"].append(torso_colour(pixels[row], region.box))
                stages["patch token"].append(token_at(tokens[row, 1:], region.box))
                stages["projected token"].append(token_at(projected[row], region.box))
                stages["class token"].append(tokens[row, 0])
                persons.append(region)
    return {stage: torch.stack(rows).float().cpu() for stage, rows in stages.items()}, persons


def torso_colour(picture: torch.Tensor, box: tuple[float, ...]) -> torch.Tensor:
    """Mean colour `(3,)` of the middle of a box of a picture `(3, S, S)`."""
    side = picture.shape[-1]
    left, top, right, bottom = (edge * side for edge in box)
    x, y, width, height = (left + right) / 2, top + 0.4 * (bottom - top), (right - left) / 4, (bottom - top) / 8
    columns = slice(int(max(0, x - width)), int(x + width) + 1)
    return picture[:, int(max(0, y - height)) : int(y + height) + 1, columns].float().mean((1, 2)) / 255


def token_at(tokens: torch.Tensor, box: tuple[float, ...]) -> torch.Tensor:
    """The token of a square grid `(positions, width)` in which the upper middle of a box lies: the chest."""
    side = int(len(tokens) ** 0.5)
    column = min(side - 1, int((box[0] + box[2]) / 2 * side))
    row = min(side - 1, int((box[1] + 0.4 * (box[3] - box[1])) * side))
    return tokens[row * side + column]


def labels_of(persons: list[Region], options: tuple[str, ...]) -> torch.Tensor:
    """Which option each person has, -1 for none."""
    return torch.tensor([next((i for i, o in enumerate(options) if o in person.labels), -1) for person in persons])


def probe(train: tuple[torch.Tensor, torch.Tensor], test: tuple[torch.Tensor, torch.Tensor], classes: int) -> float:
    """Accuracy on `test` of a linear layer learned from `train`; both are features and labels, -1 for none."""
    (x, y), (x_test, y_test) = ((features[labels >= 0], labels[labels >= 0]) for features, labels in (train, test))
    mean, std = x.mean(0), x.std(0) + 1e-6
    layer = torch.nn.Linear(x.shape[1], classes)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=RATE, weight_decay=0.01)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        loss = torch.nn.functional.cross_entropy(layer((x - mean) / std), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float((layer((x_test - mean) / std).argmax(1) == y_test).float().mean())


def most_frequent(train: torch.Tensor, test: torch.Tensor) -> float:
    """Accuracy of the most frequent label."""
    return float((test[test >= 0] == train[train >= 0].mode().values).float().mean())


def main(argv: list[str] | None = None) -> None:
    """Probe each stage and print a table."""
    args: argparse.Namespace = build_parser().parse_args(argv)
    model, processor = load_on_device(args.model, args.device, "auto")
    folder = Path(args.folder)
    train, train_persons = read_stages(model, processor, folder, "train", args.videos)
    test, test_persons = read_stages(model, processor, folder, "test", None)
    figures: dict[str, dict[str, float]] = {}
    torch.manual_seed(0)
    for target, options in TARGETS.items():
        y, y_test = labels_of(train_persons, options), labels_of(test_persons, options)
        figures[target] = {"most frequent": most_frequent(y, y_test)}
        for stage in STAGES:
            figures[target][stage] = probe((train[stage], y), (test[stage], y_test), len(options))
    print(f"{len(train_persons):,} persons to learn from, {len(test_persons):,} to measure with")
    print("| of each person | most frequent | " + " | ".join(STAGES) + " |\n|---|" + "---|" * (len(STAGES) + 1))
    for target, row in figures.items():
        print(f"| {target} | " + " | ".join(f"{value:.3f}" for value in row.values()) + " |")
    if args.json:
        write_whole(Path(args.json), json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
