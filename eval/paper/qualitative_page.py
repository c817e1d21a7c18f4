"""Lays out answers of several models beside each other: frames, question, reference, answers (paper, Figure 5)."""

import html
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from eval.paper.qualitative_frames import Sight, Strip
from eval.paper.qualitative_marks import AGAINST, MET, agreement, judge, mark
from eval.paper.qualitative_rows import BLIND, Answers
from hivau70k_dataset.schema import Instruction
from modeling_holmes_vau.base.clock import clock
from modeling_holmes_vau.report.document import build_still
from modeling_holmes_vau.report.frames import data_url
from modeling_holmes_vau.report.words import count, format_span


DOT, RIGHT, WRONG = " \u00b7 ", "\u2713", "\u2717"


@dataclass(frozen=True)
class Shown:
    """A segment of the page.

    Args:
        rows (`list[tuple[int, Instruction]]`): What is asked about it, by the number of the row.
        span_s (`tuple[float, float]`, *optional*): Where it lies in its video, in seconds.
        strips (`list[Strip]`): The frames that models saw of it; empty where no videos are there.
    """

    rows: list[tuple[int, Instruction]]
    span_s: tuple[float, float] | None
    strips: list[Strip]


def build_page(
    title: str, facts: list[str], shown: list[Shown], models: list[Answers], sights: dict[str, Sight]
) -> str:
    """The page: a part a segment.

    Args:
        title (`str`), facts (`list[str]`): What stands above.
        shown (`list[Shown]`): The segments, in order.
        models (`list[Answers]`): Whose answers stand beside each other, in order.
        sights (`dict[str, Sight]`): How each of them looked; empty where there are no videos.
    """
    parts = "\n".join(_segment(segment, models) for segment in shown)
    body = f"""<main>
<header>
<h1>{html.escape(title)}</h1>
<p class="facts">{html.escape(DOT.join(facts))}</p>
{_models(models, sights)}
{_legend(any(entry.task == "judgement" for segment in shown for _, entry in segment.rows))}
</header>
{parts}
</main>"""
    style = Path(__file__).with_name("qualitative.css").read_text(encoding="utf-8")
    return build_still(title, body, "answers", style)


def _models(models: list[Answers], sights: dict[str, Sight]) -> str:
    """Who answered, from which file, and how it looked."""
    lines = []
    for model in models:
        sight = sights.get(model.name)
        if model.path is None:
            said = "the most frequent reference of the task at this level: it sees no video"
        else:
            said = model.path.name
            if sight:
                said += f"; saw {sight.how}" if sight.look else f"; which frames it saw is not known: {sight.how}"
        lines.append(f'<tr><th scope="row">{html.escape(model.name)}</th><td>{html.escape(said)}</td></tr>')
    return f'<table class="models"><tbody>{"".join(lines)}</tbody></table>'


def _legend(judgements: bool) -> str:
    lines = [
        f'<mark class="{MET}">word</mark> content word that the reference has too, in whatever form',
        f'<mark class="{AGAINST}">word</mark> colour or person that the reference does not name, which names others',
    ]
    if judgements:
        badges = f"{_badge((True, 'right'))} {_badge((False, 'wrong'))}"
        lines.append(f"{badges} whether a judgement says what the reference says")
    return f'<ul class="legend">{"".join(f"<li>{line}</li>" for line in lines)}</ul>'


def _segment(segment: Shown, models: list[Answers]) -> str:
    entry = segment.rows[0][1]
    name = PurePosixPath(entry.video).stem
    facts = [entry.level, entry.source]
    if segment.span_s and entry.level != "video":
        facts.append(format_span(*segment.span_s))
    elif segment.span_s:
        facts.append(clock(segment.span_s[1]))
    strips = "\n".join(_strip(strip, name) for strip in segment.strips)
    questions = "\n".join(_question(row, asked, models) for row, asked in segment.rows)
    return f"""<article class="segment">
<h2>{html.escape(name)}</h2>
<p class="facts">{html.escape(DOT.join(facts))}</p>
{strips}
{questions}
</article>"""


def _strip(strip: Strip, name: str) -> str:
    """Frames with their times, and whose they are."""
    who, frames = ", ".join(strip.models), count(strip.seen, "frame")
    said = f"{frames} that {who} saw" if strip.known else f"{frames}, evenly spread; which {who} saw is not known"
    if len(strip.times_s) < strip.seen:
        said += f"; {len(strip.times_s)} of them are different"
    pictures = "".join(
        f'<figure><img src="{data_url(jpeg)}" alt="Frame of {html.escape(name)} at {clock(time_s)}">'
        f"<figcaption>{clock(time_s)}</figcaption></figure>"
        for time_s, jpeg in zip(strip.times_s, strip.pictures)
    )
    return f'<p class="note">{html.escape(said)}</p>\n<div class="strip">{pictures}</div>'


def _question(row: int, entry: Instruction, models: list[Answers]) -> str:
    answers = "\n".join(_answer(model, model.texts.get(row), entry) for model in models)
    return f"""<section class="asked">
<h3><span class="task">{entry.task}</span> {html.escape(entry.question)} <span class="row">row {row}</span></h3>
<div class="reference"><h4>Reference</h4><p class="text">{html.escape(entry.answer)}</p></div>
<div class="answers" style="--models:{len(models)}">
{answers}
</div>
</section>"""


def _answer(model: Answers, text: str | None, entry: Instruction) -> str:
    kind = "answer blind" if model.name == BLIND else "answer"
    head = html.escape(model.name)
    if text is None:
        return f'<div class="{kind}"><h4>{head}</h4><p class="note">no answer</p></div>'
    verdict = judge(text, entry.answer) if entry.task == "judgement" else None
    badge = f" {_badge(verdict)}" if verdict else ""
    met, there = agreement(text, entry.answer)
    counts = there and not verdict  # of a judgement one word decides
    fact = f'<p class="note">{met} of {there} content words of the reference</p>' if counts else ""
    return f'<div class="{kind}"><h4>{head}{badge}</h4><p class="text">{_marked(text, entry.answer)}</p>{fact}</div>'


def _badge(verdict: tuple[bool, str]) -> str:
    right, said = verdict
    kind, sign = ("right", RIGHT) if right else ("wrong", WRONG)
    return f'<span class="verdict {kind}">{sign} {said}</span>'


def _marked(text: str, reference: str) -> str:
    pieces = (
        f'<mark class="{kind}">{html.escape(piece)}</mark>' if kind else html.escape(piece)
        for piece, kind in mark(text, reference)
    )
    return "".join(pieces) or '<span class="note">an empty answer</span>'
