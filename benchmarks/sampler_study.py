"""Whether the frame samplers still see the events of a video when it is long.

    python benchmarks/sampler_study.py --annotations ucf_annotation_with_frames.txt [--json FILE] [--picture FILE]
    python benchmarks/sampler_study.py --annotations mini --protocol hivau --scores detection/scores --stride 8

Every abnormal video is made FACTOR times as long: its events keep their frames, the stretches before, between and
after them grow, all by one number. Each scored frame has a score, of a model of scores (`MODELS`) or, with `--scores`,
from the files of `eval/detection.py`, where a stretch that grew has its scores forth and back again. Each sampler then
chooses as inference does, short videos showing their middle frames.

Told are the share of events in which a chosen frame lies, the share of the chosen frames that lie in events, how many
of them are distinct, and the largest stretch without one, as a share of the video; spans that touch are one event.
Means over all events, or over all videos, and seeds.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eval.frames.scores import VideoScores, read_scores  # noqa: E402
from eval.frames.truth import PROTOCOLS, read_tests  # noqa: E402
from hivau70k_dataset.schema import SPLITS  # noqa: E402
from modeling_holmes_vau.base.files import write_whole  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402
from modeling_holmes_vau.base.progress import Progress  # noqa: E402
from modeling_holmes_vau.frame_rule_holmes_vau import FrameRule  # noqa: E402
from modeling_holmes_vau.sampler_holmes_vau import SAMPLERS, find_runs  # noqa: E402


METRICS = ("events hit", "frames in events", "distinct frames", "largest gap")
DRAWN = ("events hit", "frames in events", "largest gap")
NOISE_LENGTHS = (50, 200, 2000, 20_000)  # scored frames of the videos that are noise alone
NOISE_FRAMES = 2_000_000  # of them in all, a length


class ScoreModel(NamedTuple):
    """
    How the scores of scored frames come about; they are cut at 0 and 1.

    Args:
        background (`float`), event (`float`): Mean score outside of events, and in them.
        noise (`float`): Standard deviation of the Gaussian noise on both.
        smooth (`int`): Over so many scores noise is averaged, its standard deviation kept.
        alarms (`float`): False alarms a scored frame: runs of 1 to 4 scores of a height between 0.5 and 0.95.
    """

    background: float
    event: float
    noise: float = 0.0
    smooth: int = 1
    alarms: float = 0.0

    def draw(self, in_event: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Scores of shape `(num_dense,)` in [0, 1], of scored frames in events or not."""
        noise = rng.standard_normal(len(in_event) + self.smooth - 1)
        noise = np.convolve(noise, np.full(self.smooth, self.smooth**-0.5), "valid")
        scores = np.where(in_event, self.event, self.background) + self.noise * noise
        for start in np.flatnonzero(rng.random(len(in_event)) < self.alarms):
            span = slice(start, start + rng.integers(1, 5))
            scores[span] = np.maximum(scores[span], rng.uniform(0.5, 0.95))
        return scores.clip(0, 1)


MODELS = {
    "clean": ScoreModel(0.02, 0.95),
    "noisy": ScoreModel(0.15, 0.7, noise=0.2),
    "smooth noise": ScoreModel(0.15, 0.7, noise=0.2, smooth=5),
    "miscalibrated": ScoreModel(0.35, 0.6, noise=0.05),
    "false alarms": ScoreModel(0.05, 0.9, noise=0.05, alarms=0.01),
}


class StudiedVideo(NamedTuple):
    """A video: its length in frames, its events as frames `[first, stop)`, in order and apart, and its scores."""

    n_frames: int
    events: list[tuple[int, int]]
    scores: VideoScores | None


class LongVideo(NamedTuple):
    """
    A video made longer.

    Args:
        n_frames (`int`): Its length in frames.
        events (`np.ndarray` of shape `(num_events, 2)`): First frame of each, and the one after its last.
        in_event (`np.ndarray` of shape `(num_dense,)`): Of each scored frame, whether it lies in an event.
        sources (`np.ndarray` of shape `(num_dense,)`): Of each scored frame, the frame of the video that it was.
    """

    n_frames: int
    events: np.ndarray
    in_event: np.ndarray
    sources: np.ndarray


def separate(spans: list[tuple[int, int]], n_frames: int) -> list[tuple[int, int]]:
    """Spans in order within the video, those that touch as one."""
    apart: list[tuple[int, int]] = []
    for first, stop in sorted((first, min(stop, n_frames)) for first, stop in spans if first < n_frames):
        if apart and first <= apart[-1][1]:
            first, stop = apart[-1][0], max(stop, apart.pop()[1])
        apart.append((first, stop))
    return apart


def lengthen(video: StudiedVideo, factor: int, stride: int) -> LongVideo:
    """The video `factor` times as long, its events as long as they were; one that is all event stays as it is."""
    cuts = np.array([0, *np.ravel(video.events), video.n_frames])  # background, event, background, ...
    lengths = np.diff(cuts)
    is_event = np.arange(len(lengths)) % 2 == 1
    background = lengths[~is_event].sum()
    growth = 1 + (factor - 1) * video.n_frames / max(background, 1)
    ends = np.cumsum(np.where(is_event, lengths, lengths * growth)).round().astype(int)
    events = np.stack([ends[is_event] - lengths[is_event], ends[is_event]], axis=1)
    new_cuts = np.array([0, *events.ravel(), ends[-1]])
    dense = np.arange(0, new_cuts[-1], stride)
    stretch = np.searchsorted(new_cuts, dense, side="right") - 1
    forth_and_back = (dense - new_cuts[stretch]) % np.maximum(2 * lengths[stretch], 1)
    offsets = np.minimum(forth_and_back, 2 * lengths[stretch] - 1 - forth_and_back)
    return LongVideo(int(new_cuts[-1]), events, is_event[stretch], cuts[stretch] + offsets)


def scores_at(scores: VideoScores, frames: np.ndarray, n_frames: int) -> np.ndarray:
    """The scores that frames have in a file: one a frame, or one a stride."""
    places = frames if len(scores.scores) == n_frames else frames // scores.stride
    return scores.scores[np.minimum(places, len(scores.scores) - 1)]


def look(chosen: list[int], video: LongVideo) -> tuple[np.ndarray, float, int, float]:
    """Which events are hit, the share of chosen frames in events, how many are distinct, the largest gap."""
    frames = np.array(chosen)
    inside = (video.events[:, :1] <= frames) & (frames < video.events[:, 1:])  # (events, N)
    edges = np.concatenate(([-1], frames, [video.n_frames]))
    return inside.any(axis=1), inside.sum() / len(frames), len(set(chosen)), float(np.diff(edges).max() / edges[-1])


def read_study(args: argparse.Namespace) -> list[StudiedVideo]:
    """The abnormal videos of the test set, with their scores where `--scores` names them.

    Raises:
        `SystemExit`: one line, if there are none, or the length of one is not told.
    """
    videos, missing = [], 0
    for name, test in read_tests(args.protocol, args.annotations, args.split, scores=args.scores).items():
        if not test.truth.spans:
            continue
        path = Path(args.scores or "", f"{name}.npz")
        if args.scores and not path.is_file():
            missing += 1
            continue
        scores = read_scores(path) if args.scores else None
        n_frames = test.truth.n_frames or (scores and scores.n_frames)
        if not n_frames:
            raise SystemExit(f"{name}: its number of frames is told neither by --annotations nor by --scores")
        videos.append(StudiedVideo(n_frames, separate(list(test.truth.spans), n_frames), scores))
    if not videos:
        raise SystemExit(f"no abnormal videos: {args.annotations} names none, or --scores has none of them")
    if missing:
        print(f"note: {missing} abnormal videos have no scores in {args.scores}, and are left out", file=sys.stderr)
    return videos


def draw_scores(video: StudiedVideo, grown: LongVideo, model: str, seed: tuple[int, int]) -> np.ndarray:
    """Scores of the scored frames, of a model or, where it is none, of the video's file."""
    if model in MODELS:
        return MODELS[model].draw(grown.in_event, np.random.default_rng(seed))
    return scores_at(video.scores, grown.sources, video.n_frames).clip(0, 1)


def study(videos: list[StudiedVideo], model: str, factor: int, args: argparse.Namespace) -> Iterator[dict]:
    """The rows of one model of scores and one factor: a dictionary of `METRICS` each number of frames and sampler."""
    rules = [FrameRule(count, args.stride, sampler, args.tau) for count in args.frames for sampler in args.samplers]
    looks: dict[FrameRule, list[tuple]] = {rule: [] for rule in rules}
    longer = [lengthen(video, factor, args.stride) for video in videos]
    for seed in range(args.seeds if model in MODELS else 1):
        for number, (video, grown) in enumerate(zip(videos, longer)):
            scores = torch.as_tensor(draw_scores(video, grown, model, (seed, number)))
            for rule in rules:
                looks[rule].append(look(rule.choose(grown.n_frames, scores=scores), grown))
    for rule, seen in looks.items():
        hits, inside, distinct, gaps = zip(*seen)
        means = (np.concatenate(hits).mean(), np.mean(inside), np.mean(distinct), np.mean(gaps))
        row = {"model": model, "factor": factor, "N": rule.num_frames, "sampler": rule.sampler}
        yield row | {name: round(float(mean), 4) for name, mean in zip(METRICS, means)}


def frame_auc(videos: list[StudiedVideo], model: str, stride: int) -> float:
    """The ROC AUC of the scores of the videos as long as they are, over all scored frames."""
    grown = [lengthen(video, 1, stride) for video in videos]
    scores = [draw_scores(*pair, model, (0, number)) for number, pair in enumerate(zip(videos, grown))]
    truth = np.concatenate([video.in_event for video in grown])
    return round(float(roc_auc_score(truth, np.concatenate(scores))), 3)


def noise_rows(tau: float) -> list[dict]:
    """How often noise alone, of mean 0.4 and deviation 0.08, is taken for an event."""
    rng, rows = np.random.default_rng(0), []
    for length in NOISE_LENGTHS:
        counts = [
            len(find_runs(torch.as_tensor(rng.normal(0.4, 0.08, length).clip(0, 1)), tau).masses)
            for _ in range(NOISE_FRAMES // length)
        ]
        rows.append({"scored frames": length, "videos with an event": float(np.mean(np.array(counts) > 0))})
        rows[-1]["scored frames an event"] = round(NOISE_FRAMES / max(sum(counts), 1))
    return rows


def table(rows: list[dict], metrics: tuple[str, str], formats: tuple[str, str]) -> str:
    """Markdown: a line each model and factor, two figures each sampler."""
    samplers = list(dict.fromkeys(row["sampler"] for row in rows))
    lines = [f"| scores, times as long | {' | '.join(samplers)} |", f"|---|{'---:|' * len(samplers)}"]
    for place in dict.fromkeys((row["model"], row["factor"]) for row in rows):
        here = {row["sampler"]: row for row in rows if (row["model"], row["factor"]) == place}
        cells = [" / ".join(format(here[name][m], f) for m, f in zip(metrics, formats)) for name in samplers]
        lines.append(f"| {place[0]}, {place[1]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def worst_differences(rows: list[dict], ours: str = "ats_norm", other: str = "ats") -> list[dict]:
    """Where one sampler is worst beside another, by the first two metrics; empty where one of them was not studied."""
    keys = ("model", "factor", "N")
    found = {(row["sampler"], *(row[key] for key in keys)): row for row in rows}
    pairs = [(row, found.get((other, *place))) for (sampler, *place), row in found.items() if sampler == ours]
    pairs = [(row, beside) for row, beside in pairs if beside is not None]
    worst = []
    for metric in METRICS[:2] if pairs else ():
        row, beside = min(pairs, key=lambda pair: pair[0][metric] - pair[1][metric])
        difference = round(row[metric] - beside[metric], 4)
        worst.append({"metric": metric, "difference": difference} | {key: row[key] for key in keys})
    return worst


def draw(rows: list[dict], path: str) -> None:
    """Events hit, frames in events and gaps over the length, a column each model of scores, a line each sampler."""
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(row["model"] for row in rows))
    factors = sorted({row["factor"] for row in rows})
    figure = Figure(figsize=(1 + 2.4 * len(models), 6.5), layout="constrained")
    grid = figure.subplots(len(DRAWN), len(models), squeeze=False, sharex=True, sharey="row")
    for axes_row, metric in zip(grid, DRAWN):
        for axes, model in zip(axes_row, models):
            for sampler in dict.fromkeys(row["sampler"] for row in rows):
                here = {r["factor"]: r[metric] for r in rows if (r["model"], r["sampler"]) == (model, sampler)}
                look = {"marker": "o", "markersize": 3, "linewidth": 2.2 if sampler == "ats_norm" else 1.2}
                axes.plot(factors, [here[factor] for factor in factors], label=sampler, **look)
            axes.set(xscale="log", ylim=(-0.03, 1.03), title=model if metric == DRAWN[0] else None)
            axes.set_xticks(factors, [f"{factor}" for factor in factors])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
        axes_row[0].set_ylabel(metric)
    grid[0, 0].legend(frameon=False, fontsize=8)
    figure.supxlabel(f"times as long; {rows[0]['N']} frames")
    figure.savefig(path, dpi=90)


def build_parser() -> Parser:
    """The parser of this benchmark."""
    parser = Parser("sampler_study.py", description="Whether the frame samplers still see the events of long videos.")
    parser.add_argument("--annotations", required=True, metavar="PATH", help="the ground truth, see --protocol")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="ucf-crime", help="its form (ucf-crime)")
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the hivau annotations (test)")
    parser.add_argument(
        "--scores", metavar="DIR", help="scores of eval/detection.py, NAME.npz, in place of the models of scores"
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[*MODELS], help="of scores (all)")
    parser.add_argument("--factors", nargs="+", type=int, default=[1, 4, 16, 64], help="times as long (1 4 16 64)")
    parser.add_argument("--frames", nargs="+", type=int, default=[8, 16, 32], metavar="N", help="(8 16 32)")
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=[*SAMPLERS], help="(all)")
    parser.add_argument("--stride", type=int, default=16, help="frames from one score to the next (16)")
    parser.add_argument("--tau", type=float, default=0.1, help="of the samplers (0.1)")
    parser.add_argument("--seeds", type=int, default=3, help="of the models of scores (3)")
    parser.add_argument("--noise", action="store_true", help="count the events found in noise alone too")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    parser.add_argument("--picture", metavar="FILE", help="draw them here (.png), of the middle one of --frames")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Measure and print tables."""
    args: argparse.Namespace = build_parser().parse_args(argv)
    videos = read_study(args)
    models = ["scores"] if args.scores else args.models
    cells = [(model, factor) for model in models for factor in args.factors]
    rows = [row for cell in Progress(cells, "studying", unit="cell") for row in study(videos, *cell, args)]
    report = {"videos": len(videos), "events": sum(len(video.events) for video in videos)}
    report["frame AUC"] = {model: frame_auc(videos, model, args.stride) for model in models}
    report["rows"] = rows
    report["worst of ats_norm less ats"] = worst_differences(rows)
    print(f"{report['events']} events of {len(videos)} videos; frame AUC of the scores: {report['frame AUC']}")
    for count in args.frames:
        here = [row for row in rows if row["N"] == count]
        print(f"\nN = {count}: events hit, frames in events\n\n{table(here, METRICS[:2], ('.3f', '.3f'))}")
        print(f"\nN = {count}: distinct frames, largest gap\n\n{table(here, METRICS[2:], ('.1f', '.3f'))}")
    for worst in report["worst of ats_norm less ats"]:
        print(f"\nats_norm less ats, at worst: {json.dumps(worst)}")
    if args.noise:
        report["noise"] = noise_rows(args.tau)
        print("\n" + "\n".join(json.dumps(row) for row in report["noise"]))
    if args.json:
        write_whole(Path(args.json), json.dumps(report, indent=1) + "\n")
    if args.picture:
        middle = sorted(args.frames)[len(args.frames) // 2]
        draw([row for row in rows if row["N"] == middle], args.picture)


if __name__ == "__main__":
    main()
