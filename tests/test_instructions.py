"""Instruction rows from free text, as the release has them."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from hivau70k_dataset.instructions import build_instructions, prompt_pools, split_summary
from hivau70k_dataset.reading import read_annotation_file, read_annotation_files
from hivau70k_dataset.schema import SummaryParts
from tests.annotations import write_release


@pytest.fixture
def annotations(tmp_path):
    return list(read_annotation_files(write_release(tmp_path)).annotations)


def test_the_pools_of_the_paper():
    counts = {task: len(set(prompts)) for task, prompts in prompt_pools().items()}
    assert counts == {"caption": 24, "judgement": 10, "description": 10, "analysis": 10}


def test_clips_get_captions_events_and_videos_the_three_parts(annotations):
    rows = build_instructions(annotations)
    assert Counter((row.level, row.task) for row in rows) == {
        ("clip", "caption"): 4,
        ("event", "judgement"): 3,
        ("event", "description"): 3,
        ("event", "analysis"): 2,  # the normal video has none
        ("video", "judgement"): 2,
        ("video", "description"): 2,
        ("video", "analysis"): 1,
    }
    assert all(row.question in prompt_pools()[row.task] for row in rows)
    caption = next(row for row in rows if row.video == "ucf-crime/clips/test/Arson101_x264_E0C1.mp4")
    assert caption.answer == "The bin burns." and caption.id == "Arson101_x264_E0C1_caption"
    assert len({row.id for row in rows}) == len(rows)


def test_the_seed_chooses_prompts_and_a_row_keeps_its_prompt(annotations):
    rows = build_instructions(annotations, seed=3)
    assert build_instructions(annotations, seed=3) == rows
    assert build_instructions(annotations[1:], seed=3) == [row for row in rows if row.name == annotations[1].video]
    questions = {tuple(row.question for row in build_instructions(annotations, seed)) for seed in range(20)}
    assert len(questions) == 20
    drawn = {row.question for seed in range(400) for row in build_instructions(annotations[:1], seed)}
    assert drawn == {prompt for prompts in prompt_pools().values() for prompt in prompts}


def test_summaries_without_parts_are_taken_apart(annotations):
    whole = [
        replace(entry, parts=None, events=tuple(replace(event, parts=None) for event in entry.events))
        for entry in annotations
    ]
    assert [row.answer for row in build_instructions(whole)] == [row.answer for row in build_instructions(annotations)]


@pytest.mark.parametrize(
    ("summary", "abnormal", "parts"),
    [
        ("No anomaly exists. People walk; cars pass.", False, ("No anomaly exists.", "People walk. cars pass.", None)),
        ("No anomaly exists.", False, ("No anomaly exists.", "No anomaly exists.", None)),
        ("An anomaly exists.", True, ("An anomaly exists.", None, None)),
        ("An anomaly exists. A fire.", True, ("An anomaly exists.", "An anomaly exists", "A fire.")),
    ],
)
def test_short_summaries(summary, abnormal, parts):
    assert split_summary(summary, abnormal) == SummaryParts(*parts)


def test_the_released_parts_and_answers_come_out(released):
    files = read_annotation_files(released)
    split = [
        (split_summary(text, bool(entry.labels)), parts)
        for entry in files.annotations
        for text, parts in [(entry.summary, entry.parts), *((event.summary, event.parts) for event in entry.events)]
    ]
    assert len(split) == 588
    assert sum(ours == theirs for ours, theirs in split) == 581
    # The release lower-cases what follows the first letter of an analysis: the only difference.
    assert all(ours.judgement == theirs.judgement for ours, theirs in split)
    assert all(ours.description == theirs.description for ours, theirs in split)
    assert all((ours.analysis or "").lower() == (theirs.analysis or "").lower() for ours, theirs in split)
    answers = {(row.video, row.task): row.answer for row in build_instructions(files.annotations)}
    ucf = [row for row in files.instructions if row.source == "ucf-crime"]
    assert len(ucf) == 599 and all(answers[row.video, row.task] == row.answer for row in ucf)


def test_the_release_draws_from_the_same_pools(released):
    rows = read_annotation_file(released / "instruction" / "merge_instruction_test_final.jsonl")
    odd = Counter(row.question for row in rows if row.question.replace("\u2019", "'") not in prompt_pools()[row.task])
    assert list(odd.values()) == [100]  # two prompts glued together
    assert json.dumps(sorted(odd)).count("?") == 1
