"""`eval/tables.py table1`: frame-level detection (the paper's Table 1), with event mAP and blind baselines beside.

The paper scores each benchmark by a scorer that was trained on that benchmark alone: `train_scorer.py --sources`. A
scorer of which the checkpoint tells otherwise, or nothing, is refused, unless told.
"""

import argparse
import hashlib
import json
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from eval.frames.scores import DIGESTED
from eval.paper.cells import Cell, make_cells
from eval.paper.layout import bars, figure_cell, table, write_table
from eval.paper.published import TABLE1
from eval.paper.suite import MINI, add_suite_arguments, check_model, data_cells, resolved, suite_of
from hivau70k_dataset.reading import read_annotation_files
from modeling_holmes_vau.base.commands import CommandError, output_folder
from modeling_holmes_vau.checkpoint.load import checkpoint_digest, open_folder


TITLES = {"miniature": "miniature", "ucf-crime": "UCF-Crime", "xd-violence": "XD-Violence"}
SCORE_S = 35.0  # the test videos of the miniature, on two CPU cores
IOUS = ("0.1", "0.2", "0.3", "0.4", "0.5")
COLUMNS = {
    "auc": "AUC",
    "ap": "AP",
    "ap_step": "AP, step",
    "auc_abnormal": "AUC, abnormal videos",
    "auc_within": "macro AUC",
}


@dataclass(frozen=True)
class Benchmark:
    """
    What a scorer is measured on.

    Args:
        source (`str`): Its name, as `train_scorer.py --sources` takes it.
        model (`str`): Checkpoint.
        protocol (`str`), truth (`str`), videos (`str`): As `eval/detection.py` takes them.
    """

    source: str
    model: str
    protocol: str
    truth: str
    videos: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/tables.py table1`."""
    parser.add_argument("--model", default=MINI, metavar="DIR", help="scorer of the miniature (%(default)s)")
    for short, source in (("ucf", "UCF-Crime"), ("xd", "XD-Violence")):
        group = parser.add_argument_group(f"{source} (--suite hivau)")
        group.add_argument(f"--{short}-model", metavar="DIR", help=f"checkpoint whose scorer saw {source} alone")
        group.add_argument(f"--{short}-truth", metavar="FILE", help="frame annotation of its test videos")
        group.add_argument(f"--{short}-videos", metavar="DIR", help="folder of its test videos")
    parser.add_argument("--any-source", action="store_true", help="take scorers whatever they were trained on")
    add_suite_arguments(parser, limited=False)


def benchmarks_of(args: argparse.Namespace) -> list[Benchmark]:
    """What the arguments ask for."""
    if args.suite == "miniature":
        suite = suite_of(args)
        return [Benchmark("miniature", resolved(args.model), "hivau", suite.annotations, suite.videos)]
    found = []
    for short, source in (("ucf", "ucf-crime"), ("xd", "xd-violence")):
        named = {name: vars(args)[f"{short}_{name}"] for name in ("model", "truth", "videos")}
        if not any(named.values()):
            continue
        if missing := [f"--{short}-{name}" for name, value in named.items() if not value]:
            raise CommandError(f"{TITLES[source]}: {' and '.join(missing)} not given; pass all three, or none")
        truth, videos = str(Path(named["truth"]).resolve()), str(Path(named["videos"]).resolve())
        found.append(Benchmark(source, resolved(named["model"]), source, truth, videos))
    if not found:
        raise CommandError("--suite hivau: pass --ucf-model, --ucf-truth and --ucf-videos, or those of --xd-, or both")
    return found


def check_sources(benchmark: Benchmark) -> None:
    """Refuse a scorer that was not trained on the benchmark alone."""
    folder, _ = open_folder(benchmark.model, weights=False)
    sources = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("scorer_sources")
    if sources == [benchmark.source]:
        return
    said = (
        "does not tell what its scorer was trained on" if sources is None else f"was trained on {', '.join(sources)}"
    )
    raise CommandError(
        f"{benchmark.model} {said}; the paper's table asks for {benchmark.source} alone "
        f"(train_scorer.py --sources {benchmark.source}): pass such a one, or --any-source"
    )


def benchmark_cell(benchmark: Benchmark, options: tuple[str, ...]) -> Cell:
    """The cell of one benchmark."""
    truth = ["--protocol", benchmark.protocol, "--annotations", benchmark.truth, "--videos", benchmark.videos]

    def commands(folder: Path) -> list[list[str]]:
        output = ["--output", str(folder / "detection")]
        return [["eval/detection.py", "--model", benchmark.model, *truth, *options, *output]]

    def read(folder: Path) -> dict[str, Any]:
        report = json.loads((folder / "detection" / "report.json").read_text(encoding="utf-8"))
        return report | {"intervals": read_intervals(benchmark, folder / "detection" / "scores")}

    digest = checkpoint_digest(benchmark.model, DIGESTED)
    settings = {"model": digest, "protocol": benchmark.protocol, "truth": truth_digest(benchmark), "options": options}
    return Cell(benchmark.source, settings, commands, read, SCORE_S if benchmark.source == "miniature" else 0.0)


def truth_digest(benchmark: Benchmark) -> str:
    """What is annotated, wherever it lies: of a folder, its test videos."""
    path = Path(benchmark.truth)
    if path.is_file():
        content = path.read_bytes()
    else:
        entries = read_annotation_files(path).annotations
        content = json.dumps([astuple(entry) for entry in entries if entry.split == "test"]).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def read_intervals(benchmark: Benchmark, scores: Path) -> dict[str, Any]:
    """Intervals of the micro figures, from the scores of a cell."""
    from eval.frames.count import read_videos
    from eval.frames.intervals import detection_intervals
    from eval.frames.truth import read_tests

    tests = read_tests(benchmark.protocol, benchmark.truth, "test", benchmark.videos, scores)
    return detection_intervals(read_videos(tests, scores, {}, videos=benchmark.videos))


def run(args: argparse.Namespace) -> int:
    """Make the table."""
    output, benchmarks = output_folder(args.output), benchmarks_of(args)
    for benchmark in benchmarks:
        check_model(benchmark.model)
        if not args.any_source:
            check_sources(benchmark)
    if args.suite == "miniature":
        make_cells(data_cells(args, suite_of(args)), output, "data")
    named = (("--device", args.device), ("--dtype", args.dtype))
    options = tuple(part for option, value in named if value for part in (option, value))
    cells = {benchmark.source: benchmark_cell(benchmark, options) for benchmark in benchmarks}
    kept = make_cells(list(cells.values()), output, "table1", args.dry_run)
    if args.dry_run:
        return 0
    figures = {source: kept[cell.name]["figures"] for source, cell in cells.items()}
    models = {benchmark.source: benchmark.model for benchmark in benchmarks}
    result = {"suite": args.suite, "models": models, "any_source": args.any_source, "figures": figures}
    write_table(output, "table1", markdown(result), result, draw(result))
    return 0


def markdown(result: dict[str, Any]) -> list[str]:
    """The figures of each benchmark, and the paper's beside them."""
    lines = [f"# Frame-level detection ({result['suite']})"]
    for source, report in result["figures"].items():
        lines += ["", f"## {TITLES[source]}, {report['videos']['counted']} videos", ""]
        rows = [[f"**{name}**" if name == "scores" else name, *_frame_cells(report, name)] for name in report["rows"]]
        lines += [*table(["", *COLUMNS.values()], rows), "", "In brackets: 95 % of 1,000 resamples of whole videos."]
        lines += _map_lines(report)
    if result["suite"] == "hivau":
        lines += _published_lines(result)
    return lines


def _frame_cells(report: dict[str, Any], name: str) -> list[str]:
    figures = dict(report["rows"][name])
    if name == "scores":
        figures |= report["intervals"]
    return [figure_cell(figures[column]) for column in COLUMNS]


def _map_lines(report: dict[str, Any]) -> list[str]:
    if report["rows"]["scores"]["event_map"] is None:
        return []
    rows = []
    for name, row in report["rows"].items():
        found = row["event_map"]
        rows.append([name, *(figure_cell(found[f"ap@{iou}"]) for iou in IOUS), figure_cell(found["ap"])])
    lines = ["", *table(["AP of events, without classes, at IoU", *IOUS, "mean"], rows), ""]
    if report["no_classes"]:
        return [*lines, f"There is no mAP of classes, which papers report: {report['no_classes']}."]
    rows = []
    for name, row in report["rows"].items():
        found = row["event_map"]["per_class"]
        rows.append([name, *(figure_cell(found[f"map@{iou}"]) for iou in IOUS), figure_cell(found["map"])])
    return [*lines, *table(["mAP of classes at IoU", *IOUS, "mean"], rows)]


def _published_lines(result: dict[str, Any]) -> list[str]:
    """The table as the paper prints it, ours below."""
    rows = [
        [f"{name}{', explainable' if explains else ''}", figure_cell(ap, 2), figure_cell(auc, 2)]
        for name, explains, ap, auc in TABLE1
    ]
    found = result["figures"]
    ours = [
        figure_cell(100 * found[source]["rows"]["scores"][column] if source in found else None, 2, bold=True)
        for source, column in (("xd-violence", "ap"), ("ucf-crime", "auc"))
    ]
    blind = [
        figure_cell(100 * found[source]["rows"]["video labels"][column] if source in found else None, 2)
        for source, column in (("xd-violence", "ap"), ("ucf-crime", "auc"))
    ]
    rows += [["**this run**", *ours], ["blind: knows which videos are abnormal, no localisation", *blind]]
    return ["", "## As the paper prints it", "", *table(["method", "XD-Violence AP, %", "UCF-Crime AUC, %"], rows)]


def draw(result: dict[str, Any]) -> bytes:
    """Bars: the figures of the scores beside the blind baselines."""
    panels: dict[str, dict[str, dict]] = {}
    for source, report in result["figures"].items():
        for column, title in (("auc", "AUC"), ("ap_step", "AP, step"), ("auc_within", "macro AUC")):
            shown = {name: row[column] for name, row in report["rows"].items() if name != "ground truth"}
            if column in report["intervals"]:
                shown["scores"] = report["intervals"][column]
            panels.setdefault(title, {})[TITLES[source]] = shown
        if report["rows"]["scores"]["event_map"] is not None:
            shown = {name: row["event_map"]["ap"] for name, row in report["rows"].items() if name != "ground truth"}
            panels.setdefault("AP of events, mean of IoU 0.1 to 0.5", {})[TITLES[source]] = shown
    return bars(panels, "Frame-level detection", columns=2)
