"""The protocols by which papers score answers of a level, side by side: the same answers, four figures.

Papers agree on the metrics and not on what a pool is, nor on what is done with the figures of several pools:

- "pooled": all rows of the level are one pool (Holmes-VAU, Table 2).
- "task_mean": each task of the level is a pool of its own, and the level is the mean of its tasks.
- "task_mean_nonzero": the same mean without tasks whose score is zero: the averaging of ReactVAU's public code
  (`transform_metric.py` at 0219415 of github.com/huiyuiui/ReactVAU-code). The averaging alone: its BLEU of a pool is
  the mean of each row's own BLEU, ours is that of the corpus, and rows whose video is missing are no rows there.
- "deduplicated": pooled, without rows that ask the same task of the same segment again.

None of it is computed here twice: `protocols_of_pools` reads what the report has of its pools.
"""

from typing import Any

from hivau70k_dataset.schema import LEVELS, Instruction


PROTOCOLS = {
    "pooled": "all rows of the level are one pool, as in the paper",
    "task_mean": "mean of its tasks, each a pool of its own; a task that scores zero counts as zero",
    "task_mean_nonzero": "the same mean without the tasks that score zero, as ReactVAU's public code takes it",
    "deduplicated": "pooled, without rows that ask the same task of the same segment again",
}
TEXT_METRICS = ("bleu", "cider", "meteor", "rouge")
COLUMNS = ("bleu_sum", "cider", "meteor", "rouge_l")  # a figure a metric, in the order of the paper's Table 2
ZERO = 1e-7  # pycocoevalcap's BLEU gives up to 6e-9, not 0, where no word is right

Pools = list[dict[str, Any]]


def protocols_of_answers(
    instructions: list[Instruction],
    answered: dict[str, list[str]],
    metrics: list[str] | tuple[str, ...] = TEXT_METRICS,
    tokenizer: str = "ptb",
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """The four protocols of answers by system, and of the blind baselines beside them.

    Args:
        instructions (`list[Instruction]`): The rows; their answers are the references.
        answered (`dict[str, list[str]]`): By system, under any name but those of the baselines, its answer to each
            row; an empty text where it has none.
        metrics (`list[str]`, *optional*): Which of "bleu", "cider", "meteor", "rouge". METEOR needs Java.
        tokenizer (`str`, *optional*, defaults to `"ptb"`): As `--tokenizer` of `eval/reasoning.py score`; "ptb" needs
            Java.
        seed (`int`, *optional*, defaults to 0): Of the shuffled baseline.

    Returns:
        `dict`: What [`protocols_of_pools`] returns.

    Raises:
        `ValueError`: If there are no rows, a system does not answer all of them, or a metric is unknown.
    """
    from eval.answers.report import build_report  # whose report has this as a section

    if not instructions or not metrics or set(metrics) - set(TEXT_METRICS):
        raise ValueError(
            f"Got {len(instructions)} instructions and the metrics {list(metrics)}. Pass at least one instruction, "
            f"and metrics among {', '.join(TEXT_METRICS)}."
        )
    for system, answers in answered.items():
        if len(answers) != len(instructions):
            raise ValueError(
                f"{system!r} has {len(answers)} answers to {len(instructions)} instructions. Pass one to each, an "
                "empty text where there is none."
            )
    options = {"metrics": list(metrics), "tokenizer": tokenizer, "bootstrap": 0, "seed": seed}
    return build_report(instructions, answered, options, 0)["protocols"]


def protocols_of_pools(pools: Pools) -> dict[str, dict[str, Any]]:
    """The four protocols of each level, from the figures of its pools.

    Args:
        pools (`list[dict]`): `pools` of a report: with `level`, `task`, `duplicates`, `rows` and `scores`, by system
            and column, each with a `value`. A level of one task has no pool of the task, and one without repeated
            rows none without them.

    Returns:
        `dict`: By level `rows`, `rows_deduplicated`, `tasks` (rows by task; a level of one task is not divided) and
            `scores`, by system, column ("bleu_sum", "cider", "meteor", "rouge_l", as far as they were asked for) and
            protocol a number, or `None` where there is none.

    Example:

    >>> def pool(task, bleu):
    ...     scores = {"model": {"bleu_sum": {"value": bleu}}}
    ...     return {"level": "video", "task": task, "duplicates": True, "rows": 2, "scores": scores}
    >>> found = protocols_of_pools([pool(None, 0.7), pool("judgement", 1.0), pool("analysis", 0.0)])
    >>> found["video"]["scores"]["model"]["bleu_sum"]
    {'pooled': 0.7, 'task_mean': 0.5, 'task_mean_nonzero': 1.0, 'deduplicated': 0.7}
    """
    found = {}
    for level in LEVELS:
        own = [pool for pool in pools if pool["level"] == level]
        if not own:
            continue
        whole = _only(own, duplicates=True)
        tasks = [pool for pool in own if pool["task"] and pool["duplicates"]]
        single = _only(own, duplicates=False) or whole
        found[level] = {
            "rows": whole["rows"],
            "rows_deduplicated": single["rows"],
            "tasks": {pool["task"]: pool["rows"] for pool in tasks},
            "scores": {
                system: {
                    column: _figures(system, column, whole, tasks or [whole], single)
                    for column in COLUMNS
                    if column in whole["scores"][system]
                }
                for system in whole["scores"]
            },
        }
    return found


def _only(pools: Pools, duplicates: bool) -> dict[str, Any] | None:
    """The pool of a whole level; `None` where there is none."""
    return next((pool for pool in pools if pool["task"] is None and pool["duplicates"] == duplicates), None)


def _figures(system: str, column: str, whole: dict, tasks: Pools, single: dict) -> dict[str, float | None]:
    """A cell: the figure of a system and a column under each protocol."""

    def value(pool: dict) -> float | None:
        return pool["scores"][system][column]["value"]

    of_tasks = [figure for pool in tasks if (figure := value(pool)) is not None]
    above = [figure for figure in of_tasks if figure > ZERO]
    return {
        "pooled": value(whole),
        "task_mean": sum(of_tasks) / len(of_tasks) if of_tasks else None,
        "task_mean_nonzero": sum(above) / len(above) if above else 0.0 if of_tasks else None,
        "deduplicated": value(single),
    }
