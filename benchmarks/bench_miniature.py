"""Is the miniature set worth learning from: neither trivial nor hopeless, and quick to render?

    python benchmarks/bench_miniature.py --output results.json [--picture docs/miniature.png]

Renders the test split (or reads `--folder`) and prints:
- frame AUC of what needs no understanding: how much the picture changes, how its brightness changes, the distance to
  the middle of the video; each raw and averaged over a second; and of the ground truth itself;
- token F1 of answers given blindly (the most frequent one of the train split for each level and task, and the train
  answer that is on average most like the others) and of a second wording of the same truth;
- rendered frames per second and process.
"""

import argparse
import json
import time
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from hivau70k_dataset.miniature.plan import CLASSES, CRIMES, LOOK_ALIKES, VideoPlan, build_plan, build_stage
from hivau70k_dataset.miniature.render import DEFAULT_RECIPE, DEFAULT_SIZE, render_miniature
from hivau70k_dataset.miniature.script import Act, Phase
from hivau70k_dataset.miniature.stage import Flicker, Lamp
from hivau70k_dataset.miniature.text import annotate
from hivau70k_dataset.schema import VideoAnnotation
from modeling_holmes_vau.base.parser import Parser


PICTURE_SIZE, PICTURE_GAP = 160, 26
CANDIDATES = 150  # train answers tried as the one most like the others


def frame_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: how often an abnormal frame scores higher than a normal one, ties counted half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(truth.sum())
    negatives = len(truth) - positives
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def frame_truth(annotation: VideoAnnotation) -> np.ndarray:
    """Whether each frame (n_frames,) lies in an anomaly."""
    times_s = np.arange(annotation.n_frames) / annotation.fps
    truth = np.zeros(annotation.n_frames, bool)
    for event in annotation.events if annotation.labels else ():
        truth |= (times_s >= event.start_s) & (times_s < event.end_s)
    return truth


def cheap_scores(path: Path, annotation: VideoAnnotation) -> dict[str, np.ndarray]:
    """What a detector without understanding could go by, each (n_frames,)."""
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    frames = frames.mean(axis=3, dtype=np.float32)
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2))
    level = frames.mean(axis=(1, 2))
    count, second = len(frames), max(1, round(annotation.fps))
    scores = {
        "frame difference": np.r_[change[:1], change],
        "brightness change": np.r_[0.0, np.abs(np.diff(level))],
        "brightness off the median": np.abs(level - np.median(level)),
        "brightness": level,
        "middle of the video": -np.abs(np.arange(count) / count - 0.5),
    }
    for name in ("frame difference", "brightness change", "brightness off the median"):
        scores[f"{name}, 1 s mean"] = _second_mean(scores[name], second)
    typical = max(1e-6, float(change.mean()))
    scores["frame difference, share of the video's mean"] = scores["frame difference, 1 s mean"] / typical
    return scores


def _second_mean(values: np.ndarray, count: int) -> np.ndarray:
    """Running mean over `count` frames, as long as `values`."""
    padded = np.pad(values, count, mode="edge")
    return np.convolve(padded, np.ones(count) / count, "same")[count:-count]


def measure_frames(folder: Path, annotations: list[VideoAnnotation]) -> dict[str, float]:
    truths, scores = [], defaultdict(list)
    for annotation in tqdm(annotations, "reading", unit="video"):
        truths.append(frame_truth(annotation))
        path = folder / "videos" / "miniature" / annotation.whole_path.removeprefix("miniature/")
        for name, values in cheap_scores(path, annotation).items():
            scores[name].append(values)
    truth = np.concatenate(truths)
    result = {name: frame_auc(truth, np.concatenate(values)) for name, values in scores.items()}
    return result | {
        "ground truth": frame_auc(truth, truth.astype(float)),
        "share of abnormal frames": float(truth.mean()),
    }


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall of the words, each counted as often as it occurs."""
    ours, theirs = (Counter(text.lower().replace(".", " ").replace(",", " ").split()) for text in (answer, reference))
    common = sum((ours & theirs).values())
    return 2 * common / (sum(ours.values()) + sum(theirs.values()))


def answers(annotation: VideoAnnotation) -> list[tuple[str, str]]:
    """All texts of a video as (level and task, text)."""
    texts = []
    for level, entry in [("video", annotation), *(("event", event) for event in annotation.events)]:
        texts += [(f"{level} {task}", getattr(entry.parts, task)) for task in ("judgement", "description")]
        if entry.parts.analysis is not None:
            texts.append((f"{level} analysis", entry.parts.analysis))
    return texts + [("clip caption", clip.caption) for event in annotation.events for clip in event.clips]


def measure_text(train: list[VideoAnnotation], test: list[VideoPlan]) -> dict[str, dict[str, float]]:
    known = defaultdict(list)
    for annotation in train:
        for task, text in answers(annotation):
            known[task].append(text)
    once, again = defaultdict(list), defaultdict(list)
    for plan in test:
        for (task, text), (_, other) in zip(answers(annotate(plan)), answers(annotate(plan, draw=1))):
            once[task].append(text)
            again[task].append(other)
    result = {}
    for task, references in once.items():
        frequent = Counter(known[task]).most_common(1)[0][0]
        rng = np.random.default_rng(0)
        some = [known[task][int(k)] for k in rng.integers(len(known[task]), size=CANDIDATES)]
        typical = max(some, key=lambda text: sum(token_f1(text, other) for other in some))
        result[task] = {
            "most frequent train answer": _mean_f1([frequent] * len(references), references),
            "most typical train answer": _mean_f1([typical] * len(references), references),
            "second wording of the truth": _mean_f1(again[task], references),
        }
    return result


def _mean_f1(ours: list[str], references: list[str]) -> float:
    return float(np.mean([token_f1(answer, reference) for answer, reference in zip(ours, references)]))


def measure_speed(videos: int = 6) -> float:
    """Frames drawn per second of one process, encoding left out."""
    count, start_s = 0, time.process_time()
    for index in range(videos):
        plan = build_plan(0, "train", index)
        stage = build_stage(plan, DEFAULT_SIZE)
        for number in range(plan.n_frames):
            stage.frame(number, number / plan.fps)
        count += plan.n_frames
    return count / (time.process_time() - start_s)


def _find(kind: str) -> tuple[VideoPlan, Act]:
    """A daylight video of the test recipe (or, failing that, of train's) that shows a script."""
    candidates = [
        build_plan(0, split, index) for split, count in (("test", 120), ("train", 300)) for index in range(count)
    ]
    found = [(plan, act) for plan in candidates for act in plan.acts if act.kind == kind]
    clear = [pair for pair in found if not pair[0].camera.lamps and pair[0].camera.noise < 4] or found
    return min(clear, key=lambda pair: (_people(*pair), pair[0].split == "train"))


def _people(plan: VideoPlan, act: Act) -> int:
    """How many people are in the picture while it happens: the fewer, the easier to see; darkness counts as five."""
    stage = build_stage(plan, DEFAULT_SIZE)
    times = [_telling_time(act, phase) for phase in act.phases]
    dark = sum(float(np.interp(t, *zip(*plan.camera.exposure))) < 0.95 for t in times)
    return 5 * dark + sum(shot.key[0] == "figure" for t in times for actor in stage.actors for shot in actor.shots(t))


def _telling_time(act: Act, phase: Phase) -> float:
    """A moment of the phase: a flash if there is one, else past its middle."""
    sudden = [t for actor in act.actors if isinstance(actor, Flicker) for t in actor.times_s]
    sudden += [start_s for actor in act.actors if isinstance(actor, Lamp) for start_s, _ in actor.spans_s]
    inside = [t + 0.06 for t in sudden if phase.start_s <= t < phase.end_s]
    soon = phase.fact.split("/")[1] in ("blast", "flee", "painted", "broken", "go", "part", "pick up")
    share = 0.2 if soon else 0.6
    return inside[0] if inside else phase.start_s + share * (phase.end_s - phase.start_s)


def draw_contact_sheet() -> Image.Image:
    """One row a class: three moments of the anomaly, then two of each of its look-alikes."""
    columns = [3, 2, 2]
    width = sum(columns) * PICTURE_SIZE + 2 * PICTURE_GAP
    sheet = Image.new("RGB", (width, len(CLASSES) * (PICTURE_SIZE + PICTURE_GAP)), (250, 250, 250))
    pen = ImageDraw.Draw(sheet)
    for row, name in enumerate(CLASSES):
        kinds = [CRIMES[name][0].__name__, *(script.__name__ for script, _ in LOOK_ALIKES[name])]
        kinds[0] = name
        left, top = 0, row * (PICTURE_SIZE + PICTURE_GAP)
        for kind, count in zip(kinds, columns):
            plan, act = _find(kind)
            stage = build_stage(plan, PICTURE_SIZE)
            facts = ", ".join(phase.fact.split("/")[1] for phase in act.phases[:count])
            title = f"{'' if kind == name else 'normal: '}{kind} ({facts})"
            pen.text((left + 4, top + 4), title, (190, 30, 20) if kind == name else (20, 110, 50), font_size=16)
            for phase in act.phases[:count]:
                time_s = _telling_time(act, phase)
                frame = stage.frame(round(time_s * plan.fps), time_s)
                sheet.paste(Image.fromarray(frame), (left, top + PICTURE_GAP))
                left += PICTURE_SIZE
            left += PICTURE_GAP
    return sheet


def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="where the default recipe lies or shall lie (a temporary folder)")
    parser.add_argument("--videos", type=int, default=DEFAULT_RECIPE["test"], help="of the test split (%(default)s)")
    parser.add_argument("--output", help="write the figures to this .json file")
    parser.add_argument("--picture", help="write a contact sheet of every class and its look-alikes to this .png file")
    args = parser.parse_args(argv)
    with TemporaryDirectory() as temporary:
        folder = Path(args.folder or temporary)
        annotations = render_miniature(folder, "test", args.videos)
        report = {"frame AUC": measure_frames(folder, annotations)}
    train = [annotate(build_plan(0, "train", index)) for index in range(DEFAULT_RECIPE["train"])]
    report["token F1"] = measure_text(train, [build_plan(0, "test", index) for index in range(args.videos)])
    report["frames drawn per second and process"] = measure_speed()
    text = json.dumps(report, indent=2)
    print(text)
    if args.output:
        Path(args.output).write_text(text + "\n", encoding="utf-8")
    if args.picture:
        # the finest grain is dropped: nobody sees it, and it makes up most of the file
        draw_contact_sheet().point(lambda level: level & 0xF8 | 0x04).save(args.picture, optimize=True)


if __name__ == "__main__":
    main()
