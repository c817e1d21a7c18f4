"""Words against the truth, class by class: who, which colours, and what happens, in a few videos of each.

    python benchmarks/bench_words.py --predictions predictions.jsonl --folder mini [--each N] [--output FILE]

Reads the captions of clips that `eval/reasoning.py predict` has made of the miniature's test split. Of each class of
anomaly and of each look-alike the first N videos are taken (5 by default). A caption is right in who, if it names the
persons that the annotated one names; in colours, if it names the same ones of the same things; and in what happens,
if the wording of the generator that it comes closest to is one of that very phase of that very act. FILE gets every
caption beside its truth, for whoever wants to read.
"""

import argparse
import re
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from eval.answers.lines import read_predictions  # noqa: E402
from eval.metrics.attributes.attributes import read_mentions  # noqa: E402
from hivau70k_dataset.miniature.captions import CAPTIONS  # noqa: E402
from hivau70k_dataset.miniature.plan import build_plan  # noqa: E402
from hivau70k_dataset.miniature.render import DEFAULT_RECIPE  # noqa: E402
from hivau70k_dataset.miniature.text import draw  # noqa: E402
from hivau70k_dataset.reading import read_annotation_files  # noqa: E402
from modeling_holmes_vau.base.files import write_whole  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402


DRAWS = 12  # wordings of each template that captions are compared with
VAGUE = set("a an the of at in on and is are to who with from by his her it for man woman person hooded".split())


def build_parser() -> Parser:
    """The parser of this benchmark."""
    parser = Parser("bench_words.py", description="Captions of clips against what was drawn, class by class.")
    parser.add_argument("--predictions", required=True, metavar="FILE", help="of `eval/reasoning.py predict`")
    parser.add_argument("--folder", required=True, metavar="DIR", help="the miniature, with its test split")
    parser.add_argument("--each", type=int, default=5, metavar="N", help="videos of each class and look-alike (5)")
    parser.add_argument("--output", metavar="FILE", help="write every caption beside its truth here")
    return parser


def content(text: str) -> frozenset[str]:
    """The words of a caption that say what happens."""
    return frozenset(re.findall(r"[a-z]+", text.lower())) - VAGUE


@cache
def wordings() -> list[tuple[str, frozenset[str]]]:
    """The facts of the generator, each with the words of one wording."""
    rng, found = np.random.default_rng(0), set()
    for fact, templates in CAPTIONS.items():
        for template in templates:
            found |= {(fact, content(re.sub(r"\{[a-z.]+\}", " ", draw(template, rng)))) for _ in range(DRAWS)}
    return sorted(found, key=lambda pair: (pair[0], sorted(pair[1])))


def nearest_fact(caption: str) -> str:
    """The fact whose wording shares most words with a caption (F1 of words)."""
    words = content(caption)
    return max(wordings(), key=lambda pair: 2 * len(words & pair[1]) / (len(words) + len(pair[1]) or 1))[0]


def facts_of_clips(split: str, videos: int) -> dict[tuple[str, float], str]:
    """The fact of each annotated clip, by the name of its video and its start in milliseconds."""
    facts = {}
    for index in range(videos):
        plan = build_plan(0, split, index)
        for phase in (*(phase for act in plan.acts for phase in act.phases), *plan.quiet):
            facts[plan.name, int(phase.start_s * 1000)] = phase.fact
    return facts


def main(argv: list[str] | None = None) -> None:
    """Compare and print a table."""
    args: argparse.Namespace = build_parser().parse_args(argv)
    facts = facts_of_clips("test", DEFAULT_RECIPE["test"])
    entries = {entry.video: entry for entry in read_annotation_files(args.folder).annotations if entry.split == "test"}
    rows, told = defaultdict(list), []
    for answer in read_predictions(args.predictions):
        asked = answer.instruction
        if asked.level != "clip" or answer.prediction is None:
            continue
        clip = entries[asked.name].events[asked.event].clips[asked.clip]
        fact = facts[asked.name, int(clip.start_s * 1000)]
        kind = fact.split("/")[0]
        names = {row[0] for row in rows.get(kind, ())}
        if kind == "ambient" or (asked.name not in names and len(names) >= args.each):
            continue
        said, there = read_mentions(answer.prediction), read_mentions(asked.answer)
        right = (said.persons == there.persons, said.colours == there.colours, nearest_fact(answer.prediction) == fact)
        rows[kind].append((asked.name, *right))
        told.append(f"{asked.name} {fact}\n  truth: {asked.answer}\n  says:  {answer.prediction}\n")
    print("| what is drawn | clips | who | colours | what happens |\n|---|---:|---:|---:|---:|")
    everything = [row for found in rows.values() for row in found]
    for name, found in [
        *sorted(rows.items(), key=lambda item: (not item[0][0].isupper(), item[0])),
        ("all", everything),
    ]:
        shares = np.mean([row[1:] for row in found], axis=0)
        print(f"| {name} | {len(found)} | " + " | ".join(f"{share:.2f}" for share in shares) + " |")
    if args.output:
        write_whole(Path(args.output), "".join(told))


if __name__ == "__main__":
    main()
