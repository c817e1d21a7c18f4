"""`eval/tables.py table4`: samplers and numbers of frames, with the time to the first token (the paper's Table 4).

"uniform" is the paper's: N frames evenly spread over all frames, nothing scored, nothing else decoded. Rows are those
of whole videos. Where a video has at most N strides of frames no sampler is asked, which the table counts.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from eval.paper.answers import BASELINES, answer_cell, rows_by_level
from eval.paper.cells import Cell, cell_folder, make_cells
from eval.paper.layout import bars, figure_cell, table, write_table
from eval.paper.published import TABLE4, TABLE4_LATENCY_MS
from eval.paper.suite import (
    MINI,
    Suite,
    add_suite_arguments,
    check_model,
    data_cells,
    resolved,
    shorter_than,
    suite_of,
)
from modeling_holmes_vau.base.commands import CommandError, output_folder
from modeling_holmes_vau.checkpoint.folder import DIGESTED
from modeling_holmes_vau.checkpoint.load import checkpoint_digest, open_folder


SAMPLERS = ("top_k", "uniform", "ats", "ats_norm")
FRAMES = (8, 16, 32)
COLUMNS = ("bleu_sum", "cider")
VIDEO_ROW_S = {8: 0.3, 16: 0.45, 32: 0.8}  # by the model in the box on two CPU cores
LATENCY_S = {8: 18.0, 16: 22.0, 32: 30.0}
MEANING = {
    "top_k": "the N highest scores",
    "uniform": "N frames evenly spread over all frames; nothing is scored",
    "ats": "the paper's sampler",
    "ats_norm": "ours for long videos (`docs/sampling.md`)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/tables.py table4`."""
    parser.add_argument("--model", default=MINI, metavar="DIR", help="checkpoint folder or Hub name (%(default)s)")
    parser.add_argument("--frames", nargs="+", type=int, default=list(FRAMES), metavar="N", help="default: 8 16 32")
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS), help="default: all")
    parser.add_argument("--runs", type=int, default=20, help="videos whose latency is measured (%(default)s)")
    parser.add_argument("--no-latency", action="store_true", help="leave the latency out")
    add_suite_arguments(parser)


def sampler_options(sampler: str) -> tuple[str, ...]:
    """How a program is told to use it."""
    return ("--no-scores",) if sampler == "uniform" else ("--sampler", sampler)


def latency_cell(suite: Suite, model: str, digest: str, sampler: str, frames: int, runs: int) -> Cell:
    """The cell that measures the latency of one sampler and N."""

    def commands(folder: Path) -> list[list[str]]:
        command = ["-m", "eval.paper.latency", "--model", model, *suite.data, "--num-frames", str(frames)]
        output = ["--runs", str(runs), "--output", str(folder / "latency.json")]
        return [[*command, *sampler_options(sampler), *suite.options, *output]]

    def read(folder: Path) -> dict[str, Any]:
        return json.loads((folder / "latency.json").read_text(encoding="utf-8"))

    settings = {**suite.settings, "model": digest, "sampler": sampler, "frames": frames, "runs": runs}
    return Cell(f"latency-{sampler}-{frames}", settings, commands, read, LATENCY_S.get(frames, 30.0))


def plan(args: argparse.Namespace, suite: Suite) -> list[Cell]:
    """The cells of the table."""
    model = resolved(args.model)
    digest, rows = checkpoint_digest(model, DIGESTED), rows_by_level(suite)["video"]
    cells = []
    for frames in args.frames:
        for sampler in args.samplers:
            more = ("--num-frames", str(frames), *sampler_options(sampler))
            settings, work = {"model": digest}, rows * VIDEO_ROW_S.get(frames, 1.0)
            named = ["--model", model]
            cells.append(
                answer_cell(suite, f"{sampler}-{frames}", named, settings, ("video",), COLUMNS, more, work=work)
            )
    if not args.no_latency:  # last, and one after the other: nothing else runs then
        cells += [latency_cell(suite, model, digest, s, n, args.runs) for n in args.frames for s in args.samplers]
    return cells


def run(args: argparse.Namespace) -> int:
    """Make the table."""
    if min(args.frames) < 1 or args.runs < 1:
        raise CommandError(f"--frames {args.frames} --runs {args.runs}: all must be at least 1")
    args.frames, args.samplers = list(dict.fromkeys(args.frames)), list(dict.fromkeys(args.samplers))
    check_model(args.model)
    suite, output = suite_of(args), output_folder(args.output)
    make_cells(data_cells(args, suite), output, "data")
    cells = plan(args, suite)
    kept = make_cells(cells, output, "table4", args.dry_run)
    if args.dry_run:
        return 0
    result = collect(args, suite, kept)
    result["cells"] = {cell.name: str(cell_folder(output, cell).relative_to(output)) for cell in cells}
    write_table(output, "table4", markdown(result), result, draw(result))
    return 0


def stride_of(model: str) -> int:
    """The distance between scored frames, which the processor of a checkpoint knows."""
    folder, _ = open_folder(model, weights=False)
    return json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))["frame_stride"]


def collect(args: argparse.Namespace, suite: Suite, kept: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures of the table by N and sampler."""
    stride = stride_of(resolved(args.model))
    rows, blind = [], {}
    for frames in args.frames:
        for sampler in args.samplers:
            found = kept[f"{sampler}-{frames}"]["figures"]
            scores = found["levels"]["video"]["scores"]
            row = {"frames": frames, "sampler": sampler, **{column: scores["model"][column] for column in COLUMNS}}
            row["judged"] = found["judgements"].get("video", {}).get("model", {}).get("accuracy")
            blind = {name: {column: scores[name][column] for column in COLUMNS} for name in BASELINES}
            if latency := kept.get(f"latency-{sampler}-{frames}"):
                row["latency"] = {name: value for name, value in latency["figures"].items() if name != "runs"}
            rows.append(row)
    short = {frames: shorter_than(suite, frames * stride) for frames in args.frames}
    return {
        "suite": suite.name,
        "model": args.model,
        "stride": stride,
        "rows": rows,
        "blind": blind,
        "too_short": {str(frames): counts for frames, counts in short.items()},
    }


def markdown(result: dict[str, Any]) -> list[str]:
    """The table, the latency, and how many segments are too short."""
    real = result["suite"] == "hivau"
    head = ["sampler", "N", "BLEU", "CIDEr", "judged rightly"] + (["paper: BLEU", "paper: CIDEr"] if real else [])
    lines = [f"# Samplers and numbers of frames, whole videos ({result['suite']})", "", f"- model: {result['model']}"]
    lines += [*(f"- {name}: {meaning}" for name, meaning in MEANING.items()), ""]
    rows = []
    for row in result["rows"]:
        cells = [row["sampler"], str(row["frames"]), *(figure_cell(row[column]) for column in COLUMNS)]
        cells.append(figure_cell(row["judged"]))
        if real:
            printed = TABLE4.get((row["frames"], row["sampler"]), (None, None))
            cells += [figure_cell(value) for value in printed]
        rows.append(cells)
    for name, scores in result["blind"].items():
        rows.append([f"blind: {name}", "–", *(figure_cell(scores[column]) for column in COLUMNS), "–"])
        rows[-1] += ["–", "–"] if real else []
    lines += [*table(head, rows), "", "In brackets: 95 % of 1,000 resamples of whole videos."]
    return [*lines, *latency_lines(result, real), *short_lines(result)]


def latency_lines(result: dict[str, Any], real: bool) -> list[str]:
    """The table of latencies; nothing where none were measured."""
    timed = [row for row in result["rows"] if "latency" in row]
    if not timed:
        return []
    head = ["sampler", "N", "first token, ms", "decode", "tower", "score", "choose", "prefill", "share of scores"]
    rows = []
    for row in timed:
        found = row["latency"]
        parts = [found[f"{name}_ms"] for name in ("total", "decode", "tower", "score", "choose", "prefill")]
        cells = [row["sampler"], str(row["frames"]), *(f"{part:.1f}" for part in parts)]
        cells.append(f"{found['sampler_share']:.1%}")
        if real:
            cells.append(figure_cell(TABLE4_LATENCY_MS.get(row["frames"]), 0))
        rows.append(cells)
    device = f"{timed[0]['latency']['device']}, {timed[0]['latency']['dtype']}"
    lines = ["", f"## Time to the first token ({device})", "", *table(head + (["paper, ms"] if real else []), rows)]
    lines += [
        "",
        "Medians over videos after a warm-up. Decoding runs ahead of the tower, so that the parts may add up to",
    ]
    lines[-1] += " more than the whole. The last share is of the anomaly scorer and the sampler alone: that the dense"
    return [
        *lines[:-1],
        lines[-1] + " frames are decoded and go through the tower, is what a row has above `uniform`.",
    ]


def short_lines(result: dict[str, Any]) -> list[str]:
    """Which share of the segments no sampler is asked about."""
    rows = []
    for frames, levels in result["too_short"].items():
        shares = (f"{found['short'] / max(1, found['all']):.1%} of {found['all']:,}" for found in levels.values())
        rows.append([frames, *shares])
    lines = ["", "## Too short for a sampler to matter", "", *table(["N", "clips", "events", "videos"], rows), ""]
    return [*lines, f"Segments of at most N x {result['stride']} frames show the middle frames of N equal parts."]


def draw(result: dict[str, Any]) -> bytes:
    """Bars: BLEU, CIDEr and the time to the first token by N and sampler."""
    panels: dict[str, dict[str, dict]] = {"BLEU, videos": {}, "CIDEr, videos": {}, "time to the first token, ms": {}}
    for row in result["rows"]:
        group = f"N = {row['frames']}"
        for title, column in (("BLEU, videos", "bleu_sum"), ("CIDEr, videos", "cider")):
            panels[title].setdefault(group, {})[row["sampler"]] = row[column]
        if "latency" in row:
            panels["time to the first token, ms"].setdefault(group, {})[row["sampler"]] = row["latency"]["total_ms"]
    return bars({title: groups for title, groups in panels.items() if groups}, f"Samplers ({result['suite']})")
