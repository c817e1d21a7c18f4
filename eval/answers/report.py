"""What `eval/reasoning.py score` reports: metrics of answers and of blind baselines on the same rows, with intervals.

Rows are scored in pools: a whole level (the paper's protocol, judgements included), and each of its tasks; each with
and without rows that ask the same task of the same segment again. The blind baselines are made from the references of
the pool's rows and never look at a video.

Intervals are percentiles of resamples of whole videos, with all their rows: rows of one video are not independent.
All answers of a pool share the resamples. Only rows are resampled: the document frequencies of CIDEr stay those of the
pool's references. The shuffled baseline is one draw, whose own variance is in no interval. Its texts are the
references themselves, so that BLEU finds them as long as these and takes no penalty, as it does in about half of the
resamples: the interval of its BLEU lies low.
"""

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.answers.baselines import FREQUENT, MEANING, MODEL, RIVAL, SHUFFLED, Pairs, pools_and_pairs
from eval.answers.protocols import PROTOCOLS, protocols_of_pools
from hivau70k_dataset.schema import LEVELS, Instruction
from modeling_holmes_vau.base.commands import CommandError, first_line
from modeling_holmes_vau.base.files import write_whole


FOLDER = Path(__file__).resolve().parents[1] / "metrics"
COLUMNS = {
    "bleu_1": "BLEU-1",
    "bleu_4": "BLEU-4",
    "bleu_sum": "BLEU-1 to 4, sum",
    "cider": "CIDEr",
    "meteor": "METEOR",
    "rouge_l": "ROUGE-L",
}
JUDGEMENT_COLUMNS = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "class_accuracy": "class",
    "class_accuracy_strict": "class, strict",
    "unparsable": "unparsable",
}
ATTRIBUTE_COLUMNS = {
    "colour_f1": "colours, F1",
    "clothes_f1": "clothes, F1",
    "person_precision": "persons, precision",
    "person_recall": "persons, recall",
    "person_f1": "persons, F1",
    "number_accuracy": "as many persons",
}
DESCRIBED = ("caption", "description")  # the tasks whose answers name persons and colours
COUNTS = {"bleu": "statistics", "meteor": "statistics", "rouge": "scores"}  # of a row, whatever the pool
PANELS = ("bleu_sum", "cider", "meteor", "rouge_l", "f1", "class_accuracy")  # of the picture
COLOURS = {MODEL: "#b5484f", RIVAL: "#f2a541", FREQUENT: "#4c78a8", SHUFFLED: "#72b7b2"}
PANELS_A_ROW = 3
PERCENTILES = (2.5, 97.5)
INTERVAL = ("value", "low", "high")  # a figure of a report

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Statistic:
    """What rows add up to, and the figures of a sum.

    Args:
        table (`np.ndarray` of shape `(rows, k)`): What each row adds.
        value (`Callable`): From sums of shape `(..., k)` to figures of shape `(...)` by column.
    """

    table: np.ndarray
    value: Callable[[np.ndarray], Values]


# ---- figures and intervals ------------------------------------------------------------------------------------------


def mean(column: str) -> Callable[[np.ndarray], Values]:
    """Figures of a table whose rows are a score and a 1."""
    return lambda sums: {column: sums[..., 0] / sums[..., 1]}


def mean_table(scores: list[float | None]) -> np.ndarray:
    """The table of a mean; rows without a score count nowhere."""
    return np.array([(0.0, 0.0) if score is None else (score, 1.0) for score in scores])


def judgement_values(sums: np.ndarray) -> Values:
    """Figures of sums of the fields of an `Outcome`, in their order."""
    hits, alarms, misses, rejections, counted, unparsable, with_class, met, equal = np.moveaxis(sums, -1, 0)
    return {
        "accuracy": (hits + rejections) / counted,
        "precision": hits / (hits + alarms),
        "recall": hits / (hits + misses),
        "f1": 2 * hits / (2 * hits + alarms + misses),
        "class_accuracy": met / with_class,
        "class_accuracy_strict": equal / with_class,
        "unparsable": unparsable / counted,
    }


def attribute_values(sums: np.ndarray) -> Values:
    """Figures of sums of the fields of the metric `attributes`, in their order."""
    colours, clothes, persons = (sums[..., 3 * i : 3 * i + 3] for i in range(3))

    def f1(part: np.ndarray) -> np.ndarray:
        return 2 * part[..., 0] / (part[..., 1] + part[..., 2])

    return {
        "colour_f1": f1(colours),
        "clothes_f1": f1(clothes),
        "person_precision": persons[..., 0] / persons[..., 1],
        "person_recall": persons[..., 0] / persons[..., 2],
        "person_f1": f1(persons),
        "number_accuracy": sums[..., 9] / sums[..., 10],
    }


def video_groups(instructions: list[Instruction]) -> np.ndarray:
    """The number of each row's whole video."""
    return np.unique([row.whole_path for row in instructions], return_inverse=True)[1]


def draw_weights(num_videos: int, resamples: int, seed: int) -> np.ndarray:
    """How often each video is in each resample: `(resamples, num_videos)`; none where there is nothing to resample."""
    if num_videos < 2 or not resamples:
        return np.empty((0, num_videos))
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_videos, np.full(num_videos, 1 / num_videos), size=resamples).astype(float)


def measure(statistics: list[Statistic], groups: np.ndarray, weights: np.ndarray) -> tuple[Values, Values]:
    """The figures of all rows, and of each resample.

    Args:
        statistics (`list[Statistic]`): Over the same rows.
        groups (`np.ndarray` of shape `(rows,)`): The number of each row's video.
        weights (`np.ndarray` of shape `(resamples, videos)`): From `draw_weights`.
    """
    points, resampled = {}, {}
    with np.errstate(divide="ignore", invalid="ignore"):  # a figure that divides by nothing is nan, then null
        for statistic in statistics:
            sums = np.zeros((weights.shape[1], statistic.table.shape[1]))
            np.add.at(sums, groups, statistic.table)
            points |= statistic.value(sums.sum(axis=0))
            resampled |= statistic.value(weights @ sums)
    return points, resampled


def with_interval(point: np.ndarray, resampled: np.ndarray) -> dict[str, float | None]:
    """A figure and its interval, as the report holds them; null where there is none."""
    known = resampled[np.isfinite(resampled)]
    low, high = np.percentile(known, PERCENTILES) if len(known) else (np.nan, np.nan)
    figures = dict(zip(INTERVAL, (point, low, high)))
    return {name: float(figure) if np.isfinite(figure) else None for name, figure in figures.items()}


def compare(
    systems: dict[str, list[Statistic]], instructions: list[Instruction], resamples: int, seed: int
) -> dict[str, Any]:
    """Figures of each system on the same rows, and of the model less each other one.

    Returns:
        `dict`: `rows`, `videos`, `scores` by system and column, `differences` by system and column.
    """
    groups = video_groups(instructions)
    weights = draw_weights(int(groups.max()) + 1, resamples, seed)
    measured = {name: measure(statistics, groups, weights) for name, statistics in systems.items()}
    scores = {
        name: {column: with_interval(points[column], resampled[column]) for column in points}
        for name, (points, resampled) in measured.items()
    }
    differences = {}
    if MODEL in measured:
        points, resampled = measured[MODEL]
        for name, (others, others_resampled) in measured.items():
            if name != MODEL:
                differences[name] = {
                    column: with_interval(
                        points[column] - others[column], resampled[column] - others_resampled[column]
                    )
                    for column in points
                }
    return {"rows": len(instructions), "videos": weights.shape[1], "scores": scores, "differences": differences}


# ---- metrics --------------------------------------------------------------------------------------------------------


def load_metric(name: str) -> evaluate.Metric:
    """One of the metrics of this repository."""
    return evaluate.load(str(FOLDER / name), keep_in_memory=True)


class TextMetrics:
    """
    BLEU, CIDEr, METEOR and ROUGE-L of pairs of texts, each pair tokenised and counted once.

    Args:
        names (`list[str]`): Which of "bleu", "cider", "meteor", "rouge".
        tokenizer (`str`): As `--tokenizer`.
        pairs (`Iterable[tuple[str, str]]`): Every prediction and its reference that will be asked for.
    """

    def __init__(self, names: list[str], tokenizer: str, pairs: Iterable[tuple[str, str]]):
        self.metrics = {name: load_metric(name) for name in COUNTS | {"cider": ""} if name in names}
        distinct = sorted(set(pairs))
        self.tokens = tokens_of(sorted({text for pair in distinct for text in pair}), tokenizer)
        self.places = {pair: place for place, pair in enumerate(distinct)}
        texts = self._texts(distinct)
        self.tables = {}
        for name, field in COUNTS.items():
            if name in self.metrics:
                rows = self.metrics[name].compute(**texts, tokenizer="whitespace", per_row=True)[field]
                self.tables[name] = mean_table(rows) if field == "scores" else np.array(rows, dtype=float)

    def _texts(self, pairs: Pairs) -> dict[str, list[str]]:
        predictions, references = zip(*pairs)
        tokens = self.tokens
        return {
            "predictions": [tokens[text] for text in predictions],
            "references": [tokens[text] for text in references],
        }

    def statistics(self, pairs: Pairs) -> list[Statistic]:
        """Of the rows of a pool, in the order of `COLUMNS`."""
        places = [self.places[pair] for pair in pairs]
        statistics = []
        for name, metric in self.metrics.items():
            if name == "cider":  # how rare an n-gram is depends on the pool
                scores = metric.compute(**self._texts(pairs), tokenizer="whitespace", per_row=True)["scores"]
                statistics.append(Statistic(mean_table(scores), mean("cider")))
            elif name == "rouge":
                statistics.append(Statistic(self.tables[name][places], mean("rouge_l")))
            else:
                statistics.append(Statistic(self.tables[name][places], from_sums(metric)))
        return statistics


def tokens_of(texts: list[str], tokenizer: str) -> dict[str, str]:
    """The tokens of each text, separated by spaces; all go through the tokeniser together."""
    from eval.metrics.bleu.texts import tokenize

    _, (tokens,) = tokenize(texts[:1], [texts], tokenizer)
    return dict(zip(texts, tokens))


def from_sums(metric: evaluate.Metric) -> Callable[[np.ndarray], Values]:
    """Figures of the sums of a metric's statistics."""

    def value(sums: np.ndarray) -> Values:
        names = metric.from_statistics(np.ones((1, sums.shape[-1])))  # there may be no sums
        figures = [metric.from_statistics(row[None]) for row in sums.reshape(-1, sums.shape[-1])]
        return {name: np.array([one[name] for one in figures]).reshape(sums.shape[:-1]) for name in names}

    return value


def row_statistic(metric: evaluate.Metric, pairs: Pairs, value: Callable[[np.ndarray], Values]) -> list[Statistic]:
    """Of a metric whose rows add up, with the figures of sums of their fields."""
    predictions, references = zip(*pairs)
    rows = metric.compute(predictions=predictions, references=references, per_row=True)["rows"]
    return [Statistic(np.array([list(row.values()) for row in rows], dtype=float), value)]


# ---- the report -----------------------------------------------------------------------------------------------------


def build_report(
    instructions: list[Instruction], answered: dict[str, list[str]], options: dict[str, Any], missing: int
) -> dict[str, Any]:
    """Compute everything that the report says.

    Args:
        instructions (`list[Instruction]`): The rows.
        answered (`dict[str, list[str]]`): An answer to each, of the model and of a rival; without them the report is
            of the baselines alone.
        options (`dict`): `metrics`, `tokenizer`, `bootstrap`, `seed`, and whatever else the report should tell.
        missing (`int`): How many of the answers are empty because there was none.

    Returns:
        `dict`: `options`, `rows`, `videos`, `missing`, `pools` (text metrics), `judgements` and `attributes`, each a
        list of what `compare` returns with `level`, `task` and `duplicates`; `protocols`, see [`protocols_of_pools`].
    """
    pools = pools_and_pairs(instructions, answered, options["seed"])
    texts = judgement = attributes = None
    if set(options["metrics"]) - {"judgement", "attributes"}:
        every_pair = (pair for _, pairs in pools for system in pairs.values() for pair in system)
        texts = TextMetrics(options["metrics"], options["tokenizer"], every_pair)
    if "judgement" in options["metrics"]:
        judgement = load_metric("judgement")
    if "attributes" in options["metrics"]:
        attributes = load_metric("attributes")
    report = {"options": options, "rows": len(instructions), "videos": len({row.whole_path for row in instructions})}
    report |= {"missing": missing, "pools": [], "judgements": [], "attributes": []}
    for pool, pairs in pools:
        rows = [instructions[place] for place in pool.rows]
        head = {"level": pool.level, "task": pool.task, "duplicates": pool.duplicates}
        if texts is not None:
            statistics = {name: texts.statistics(system) for name, system in pairs.items()}
            report["pools"].append(head | compare(statistics, rows, options["bootstrap"], options["seed"]))
        if judgement is not None and pool.duplicates and {row.task for row in rows} == {"judgement"}:
            try:
                statistics = {name: row_statistic(judgement, pair, judgement_values) for name, pair in pairs.items()}
            except ValueError as error:  # references in other words than the dataset's
                said = first_line(error)
                raise CommandError(f"{said} Leave `judgement` out of --metrics to score the words alone.") from error
            report["judgements"].append(head | compare(statistics, rows, options["bootstrap"], options["seed"]))
        if attributes is not None and pool.duplicates and len(tasks := {row.task for row in rows}) == 1:
            if tasks <= set(DESCRIBED):
                head["task"] = tasks.pop()
                statistics = {name: row_statistic(attributes, pair, attribute_values) for name, pair in pairs.items()}
                report["attributes"].append(head | compare(statistics, rows, options["bootstrap"], options["seed"]))
    return report | {"protocols": protocols_of_pools(report["pools"])}


# ---- tables ---------------------------------------------------------------------------------------------------------


def cell(figure: dict[str, float | None], bold: bool = False, digits: int = 3) -> str:
    """A figure and its interval in a table."""
    if figure["value"] is None:
        return "–"
    value, low, high = (None if part is None else f"{part:.{digits}f}" for part in map(figure.get, INTERVAL))
    value = f"**{value}**" if bold else value
    return value if low is None else f"{value} [{low}, {high}]"


def table_head(*names: str) -> list[str]:
    """The head of a Markdown table whose first column is of words."""
    return [table_row(*names), "|---|" + "---:|" * (len(names) - 1)]


def table_row(*cells: str) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown tables."""
    options = {
        name: " ".join(value) if isinstance(value, list) else value for name, value in report["options"].items()
    }
    lines = ["# Reasoning", "", *(f"- {name}: {value}" for name, value in options.items())]
    lines.append(f"- rows: {report['rows']:,} of {report['videos']:,} videos")
    if report["missing"]:
        lines.append(f"- **missing: {report['missing']:,} answers, scored as empty ones**")
    for level in LEVELS:
        lines += _table(level, COLUMNS, [pool for pool in report["pools"] if pool["level"] == level])
    lines += _protocol_table(report["protocols"])
    lines += _table("judgements", JUDGEMENT_COLUMNS, report["judgements"])
    lines += _table("colours and persons", ATTRIBUTE_COLUMNS, report["attributes"])
    lines += ["", "Answers that see no video, made from the references of the same rows:", ""]
    lines += [f"- {name}: {meaning}" for name, meaning in MEANING.items()]
    if report["options"]["bootstrap"]:
        lines += ["", f"In brackets: 95 % of {report['options']['bootstrap']:,} resamples of whole videos. Bold: the"]
        lines[-1] += " model beats both blind baselines in at least 97.5 % of the resamples they share; a baseline"
        lines[-1] += " without such a figure (–) is left aside."
    if report["judgements"]:
        lines += ["", "class: of abnormal references, the answer names one of their classes; strict: exactly theirs."]
        lines[-1] += " unparsable: share of answers without a verdict, which count as wrong."
    return "\n".join([*lines, ""])


def _table(title: str, columns: dict[str, str], pools: list[dict[str, Any]]) -> list[str]:
    if not pools:
        return []
    columns = {column: name for column, name in columns.items() if column in pools[0]["scores"][FREQUENT]}
    lines = ["", f"## {title}", "", *table_head("rows", "answers", *columns.values())]
    for pool in pools:
        for place, (system, figures) in enumerate(pool["scores"].items()):
            bold = system == MODEL
            cells = [cell(figures[column], bold and _is_above(pool, column)) for column in columns]
            lines.append(table_row("" if place else pool_name(pool), f"**{system}**" if bold else system, *cells))
            if system == RIVAL:
                cells = [cell(pool["differences"][RIVAL][column]) for column in columns]
                lines.append(table_row("", f"{MODEL} less {RIVAL}", *cells))
    return lines


def _protocol_table(levels: dict[str, dict[str, Any]]) -> list[str]:
    """A row a system and metric, a column a protocol."""
    if not any(system for entry in levels.values() for system in entry["scores"].values()):
        return []
    lines = ["", "## protocols", "", *table_head("level", "metric", "answers", *PROTOCOLS)]
    for level, entry in levels.items():
        columns = list(next(iter(entry["scores"].values())))
        for column in columns:
            for place, (system, scores) in enumerate(entry["scores"].items()):
                names = ("", "") if place else (level if column == columns[0] else "", COLUMNS[column])
                cells = ["–" if figure is None else f"{figure:.3f}" for figure in scores[column].values()]
                lines.append(table_row(*names, f"**{system}**" if system == MODEL else system, *cells))
    return [*lines, "", *(f"- {name}: {meaning}" for name, meaning in PROTOCOLS.items())]


def pool_name(pool: dict[str, Any]) -> str:
    """What a table calls the rows of a pool."""
    name = pool["task"] or "all"
    if name == "judgement" and "f1" in pool["scores"][FREQUENT]:
        name = pool["level"]
    if "colour_f1" in pool["scores"][FREQUENT]:
        name = f"{pool['level']} {name}"
    return f"{name}{'' if pool['duplicates'] else ' without repeats'}, {pool['rows']:,}"


def _is_above(pool: dict[str, Any], column: str) -> bool:
    """Whether the model is surely above the baselines, those left aside that have no such figure."""
    lows = [
        difference[column]["low"]
        for name, difference in pool["differences"].items()
        if name in MEANING and pool["scores"][name][column]["value"] is not None
    ]
    return column != "unparsable" and bool(lows) and all(low is not None and low > 0 for low in lows)


# ---- picture --------------------------------------------------------------------------------------------------------


def draw(report: dict[str, Any]) -> bytes:
    """Bars of the model and of the baselines with their intervals, a panel a metric, levels side by side; PNG."""
    levels = [pool for pool in report["pools"] if pool["task"] is None and pool["duplicates"]]
    panels = {column: levels for column in PANELS if levels and column in levels[0]["scores"][FREQUENT]}
    if report["judgements"]:
        panels |= {column: report["judgements"] for column in PANELS if column in JUDGEMENT_COLUMNS}
    rows = -(-len(panels) // PANELS_A_ROW)
    width = 3.6 * min(len(panels), PANELS_A_ROW)
    figure = Figure(figsize=(max(width, 5.0), 2.9 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, min(len(panels), PANELS_A_ROW), squeeze=False).ravel()
    for axes, (column, pools) in zip(grid, panels.items()):
        draw_panel(axes, column, pools)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def draw_panel(axes: Axes, column: str, pools: list[dict[str, Any]]) -> None:
    systems = list(pools[0]["scores"])
    width = 0.8 / len(systems)
    for place, system in enumerate(systems):
        figures = [pool["scores"][system][column] for pool in pools]
        values = np.array([figure["value"] or 0.0 for figure in figures])
        at = np.arange(len(pools)) + (place - (len(systems) - 1) / 2) * width
        blind = ", blind" if system in MEANING else ""
        axes.bar(at, values, width * 0.92, color=COLOURS[system], label=f"{system}{blind}")
        known = [index for index, figure in enumerate(figures) if figure["low"] is not None]
        ends = np.array([[figures[index]["low"], figures[index]["high"]] for index in known]).reshape(-1, 2).T
        middle, half = ends.mean(axis=0), np.ptp(ends, axis=0) / 2  # a figure may lie outside its interval
        axes.errorbar(at[known], middle, yerr=half, fmt="none", ecolor="#222222", elinewidth=1.1, capsize=2.5)
    title = COLUMNS.get(column) or {"f1": "judgement, F1", "class_accuracy": "judgement, class"}[column]
    axes.set_title(title, fontsize=11)
    axes.set_xticks(range(len(pools)), [pool["level"] for pool in pools])
    axes.set_xlim(-0.6, len(pools) - 0.4)
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color="#e6e6e6")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def write_report(report: dict[str, Any], folder: Path) -> None:
    """Write `report.json`, `report.md` and `reasoning.png`."""
    write_whole(folder / "reasoning.png", draw(report))
    write_whole(folder / "report.md", markdown(report))
    write_whole(folder / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
