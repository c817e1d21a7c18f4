"""The last step of `make mini`: the merged model, its measured figures and its logs become the checkpoint to ship.

    python benchmarks/mini_card.py --run runs/mini --output checkpoints/holmes-vau-mini

`--run` holds what the steps before it wrote: `merged`, the reports `detection`, `scores` and `general` on the test
split, `machine.txt` with a sentence on where that ran, if it is to be told, and the
logs of `vision`, `scorer`, `align`, `captions`, `retell` and `sft`.
"""

import json
import shutil
import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from modeling_holmes_vau.base.files import whole_folder  # noqa: E402
from modeling_holmes_vau.base.parser import Parser
from modeling_holmes_vau.checkpoint.build import SYNTHETIC_WARNING  # noqa: E402


LIMIT_MB = 15
LOGS = {  # name in the checkpoint -> in the run
    "vision": "vision/log.jsonl",
    "align": "align/log.jsonl",
    "align_samples": "align/samples.jsonl",
    "scorer": "scorer/log.jsonl",
    "captions": "captions/log.jsonl",
    "captions_samples": "captions/samples.jsonl",
    "retell": "retell/log.jsonl",
    "retell_samples": "retell/samples.jsonl",
    "sft": "sft/log.jsonl",
    "sft_samples": "sft/samples.jsonl",
}
JUDGED = {
    "accuracy": "judged rightly",
    "class_accuracy": "a class of the abnormal ones named",
    "class_accuracy_strict": "all classes of the abnormal ones named, and no other",
}
ATTRIBUTES = {"colour_f1": "colours, F1", "person_f1": "persons, F1"}
TEXTS = (
    ("clip", None),
    ("event", "description"),
    ("event", "analysis"),
    ("video", "description"),
    ("video", "analysis"),
)
CARD = """---
library_name: transformers
pipeline_tag: video-text-to-text
license: apache-2.0
tags:
- video-anomaly-understanding
- holmes-vau
---
# holmes-vau-mini

A Holmes-VAU of {millions:.1f} million weights, all of them trained from scratch on synthetic videos (the miniature of
this project). It shows every part of the method at work in seconds, and is a small base for tests
and experiments.

**It knows the miniature and nothing else.** Streets, car parks, shops and corridors drawn by a program, ten classes of
anomaly with their ordinary look-alikes. Every analysis that it makes, and every checkpoint trained from it until both
its scorer and its language model have seen other videos, says: "{warning}". None of its figures is evidence about
UCF-Crime or XD-Violence.

```python
from transformers import AutoModel, AutoProcessor

repo = "checkpoints/holmes-vau-mini"
model = AutoModel.from_pretrained(repo, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(repo, trust_remote_code=True)
question = "What types of anomalies are shown in the video clip?"
inputs = processor(videos="video.mp4", text=question, return_tensors="pt")
ids = model.generate(**inputs)
print(processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```

## Parts

- Vision tower: a ResNet of three stages, {image_size} x {image_size} pixels, {patches} patch tokens and a class token
  that is the maximum over them; trained on the words of clip captions and on what shows where in single frames.
- Anomaly scorer: UR-DMU, on every {stride}th frame.
- Language model: Llama of {layers} layers and width {width}, vocabulary of {vocabulary} tokens made from the training
  text; trained on single frames (short captions, general questions), then on clips (captions, general questions about
  frames, clips and videos, and, without frames, what is written about events and videos), then on clips cut otherwise
  and told in other words, then with LoRA on the instructions of all levels, and merged. It sees {num_frames} frames.
- The weights are stored in 16 bits and loaded in 32.

## Training

`make mini` does all of it, and resumes: {train_videos:,} train videos of the miniature (seed 0; the first 600 are
those of its default recipe), then the vision tower, the scorer (stage 1), the language model on frames and on clips,
LoRA (stage 2), merging, and the measurements below. The settings are in `configs/mini/`, the logs of this very run in
[`logs/`](logs). {where}

## Measured

On the {videos} test videos of the miniature's default recipe, whose places have layouts that no train video has
(`make mini` writes the reports to `runs/mini/detection`, `runs/mini/scores` and `runs/mini/general`; the commands
alone are in `docs/scorer.md` and `docs/reasoning.md`; intervals hold 95 % of resamples of videos):

| | this model | best blind answer |
|---|---|---|
{rows}

Blind answers see no video: the most frequent answer of the task, or the answer to another segment; for the scorer,
the distance to the middle of the video.

## Limits

It knows the questions of the dataset (caption, judgement, description, analysis). General ones (how many people, who,
in what colour, doing what, where, by day or night, vehicles, what comes first) it learned before those, and answers
{general} of 100 rightly. Whatever else is asked gets an answer to one of these. Longer descriptions, of whole videos
above all, repeat themselves and mix people up, and of several events in one video they leave some out.
"""


def where_trained(run: Path) -> str:
    """What the run says of the machines it was made on, in a file `machine.txt` beside its steps; or nothing."""
    note = run / "machine.txt"
    return note.read_text(encoding="utf-8").strip() if note.is_file() else ""


def interval(cell: dict) -> str:
    """A figure with its interval."""
    return f"{cell['value']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"


def best_blind(scores: dict, metric: str) -> str:
    """The highest figure of the blind answers."""
    return interval(
        max((cells[metric] for name, cells in scores.items() if name != "model"), key=lambda c: c["value"])
    )


def rows_of(detection: dict, reasoning: dict, general: dict) -> list[str]:
    """The table of figures, in Markdown."""
    scorer, centre = detection["rows"]["scores"], detection["rows"]["centre"]
    lines = [
        f"| scorer, frame AUC | {scorer['auc']:.3f} | {centre['auc']:.3f} |",
        f"| scorer, average precision | {scorer['ap_step']:.3f} | {centre['ap_step']:.3f} |",
        f"| events, F1 at IoU 0.3 | {scorer['events']['f1@0.3']:.3f} | {centre['events']['f1@0.3']:.3f} |",
    ]
    for entry in reasoning["judgements"]:
        if entry["duplicates"]:
            for metric, name in JUDGED.items():
                model, blind = interval(entry["scores"]["model"][metric]), best_blind(entry["scores"], metric)
                lines.append(f"| {entry['level']}s, {name} | {model} | {blind} |")
    pools = {(pool["level"], pool["task"]): pool["scores"] for pool in reasoning["pools"] if pool["duplicates"]}
    for level, task in TEXTS:
        scores = pools[level, task]
        model, blind = interval(scores["model"]["cider"]), best_blind(scores, "cider")
        lines.append(f"| {level} {task or 'caption'}, CIDEr | {model} | {blind} |")
    for entry in reasoning["attributes"]:
        for metric, name in ATTRIBUTES.items():
            model, blind = interval(entry["scores"]["model"][metric]), best_blind(entry["scores"], metric)
            lines.append(f"| {entry['level']} {entry['task']}, {name} | {model} | {blind} |")
    scores = general["pools"][0]["scores"]
    model, blind = interval(scores["model"]["accuracy"]), best_blind(scores, "accuracy")
    lines.append(f"| general questions answered rightly | {model} | {blind} |")
    return lines


def main(argv: list[str] | None = None) -> None:
    """Write the checkpoint, in place of the one that is there."""
    parser = Parser("mini_card", description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, type=Path, help="folder of the steps before")
    parser.add_argument("--output", required=True, type=Path, help="checkpoint to write or replace")
    args = parser.parse_args(argv)
    detection, reasoning, general = (
        json.loads((args.run / name / "report.json").read_text()) for name in ("detection", "scores", "general")
    )
    merged = args.run / "merged"
    config = json.loads((merged / "config.json").read_text(encoding="utf-8"))
    processor = json.loads((merged / "processor_config.json").read_text(encoding="utf-8"))
    annotations = next((args.run / "data" / "raw_annotations").glob("*_train.jsonl"))
    weights = merged / "model.safetensors"
    side = config["vision_config"]["image_size"][0]
    text = CARD.format(
        millions=weights.stat().st_size / 2e6,
        image_size=side,
        patches=(side // config["vision_config"]["patch_size"][0]) ** 2,
        stride=processor["frame_stride"],
        num_frames=processor["num_frames"],
        layers=config["text_config"]["num_hidden_layers"],
        width=config["text_config"]["hidden_size"],
        vocabulary=config["text_config"]["vocab_size"],
        train_videos=len(annotations.read_text(encoding="utf-8").splitlines()),
        videos=detection["videos"]["counted"],
        rows="\n".join(rows_of(detection, reasoning, general)),
        where=where_trained(args.run),
        general=round(100 * general["pools"][0]["scores"]["model"]["accuracy"]["value"]),
        warning=SYNTHETIC_WARNING,
    )
    fresh = args.output.with_name(f".{args.output.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    with whole_folder(fresh) as folder:
        shutil.copytree(merged, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "logs").mkdir()
        for name, source in LOGS.items():
            shutil.copy(args.run / source, folder / "logs" / f"{name}.jsonl")
        (folder / "README.md").write_text(text, encoding="utf-8")
        told = json.dumps({**config, "warning": SYNTHETIC_WARNING}, indent=2, ensure_ascii=False)
        (folder / "config.json").write_text(f"{told}\n", encoding="utf-8")
        size_mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        if size_mb > LIMIT_MB:
            raise SystemExit(f"{size_mb:.1f} MB, allowed are {LIMIT_MB}.")
    if args.output.exists():
        shutil.rmtree(args.output)
    fresh.rename(args.output)
    print(f"wrote {args.output}, {size_mb:.1f} MB")


if __name__ == "__main__":
    main()
