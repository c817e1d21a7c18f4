"""What shows in miniature videos: regions, general questions and their answers, against the drawn pictures."""

import json
import re

import numpy as np
import pytest

from hivau70k_dataset.general import GENERAL_LEVELS, general_file, read_general, write_general
from hivau70k_dataset.miniature.asking import ACTS_ASKED, PEOPLE, QUESTIONS, ROLES_ASKED
from hivau70k_dataset.miniature.captions import CAPTIONS
from hivau70k_dataset.miniature.figures import COATS, COLOURS, FRAMES, RATES, Look
from hivau70k_dataset.miniature.plan import CRIMES, LOOK_ALIKES, build_plan, build_stage
from hivau70k_dataset.miniature.questions import CUT_OFF, ROUNDS, STEP, TOLD_AGAIN, see
from hivau70k_dataset.miniature.render import render_miniature
from hivau70k_dataset.miniature.sight import DOING, look_at
from hivau70k_dataset.regions import Region, VideoRegions, read_regions, regions_file, write_regions
from hivau70k_dataset.schema import AnnotationError


@pytest.fixture(scope="module")
def plans():
    return [build_plan(0, split, index) for split in ("train", "test") for index in range(30)]


@pytest.fixture(scope="module")
def sights(plans):
    return [see(plan, 64) for plan in plans]


def test_persons_have_the_colour_of_their_coat_where_they_are_said_to_be(plans):
    right = total = 0
    for plan in plans[::4]:
        if plan.camera.lamps:  # at night colours are others
            continue
        stage = build_stage(plan, 128)
        for time_s in np.linspace(1, plan.duration_s - 1, 6):
            picture = stage.frame(0, float(time_s)).astype(int)
            for one in look_at(stage, float(time_s)):
                if (
                    one.look is None
                    or not one.look.dressed
                    or one.share < 0.95
                    or one.doing in ("lying on the ground",)
                ):
                    continue
                left, top, right_edge, bottom = (edge * 128 for edge in one.box)
                x, y = int((left + right_edge) / 2), int(top + 0.4 * (bottom - top))
                seen = picture[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].reshape(-1, 3).mean(0)
                distance = {name: np.abs(seen - np.array(COLOURS[name])).sum() for name in COATS}
                right += min(distance, key=distance.get) == one.look.coat
                total += 1
    assert total > 40 and right / total > 0.7


def test_what_is_hidden_or_outside_is_told(plans):
    stage = build_stage(plans[0], 64)
    shares = [one.share for time_s in np.arange(0, plans[0].duration_s, 0.3) for one in look_at(stage, float(time_s))]
    assert min(shares) < 0.3 and max(shares) == 1.0
    for time_s in np.arange(0, plans[0].duration_s, 2.0):
        boxes = [one.box for one in look_at(stage, float(time_s))]
        assert all(0 <= left < right <= 1 and 0 <= top < bottom <= 1 for left, top, right, bottom in boxes)
        assert boxes == sorted(boxes, key=lambda box: box[0] + box[2])


def test_every_action_role_and_act_has_its_words():
    assert set(DOING) >= {*FRAMES, *RATES}
    assert set(ROLES_ASKED) <= set(CAPTIONS)
    assert set(ACTS_ASKED) == {*CRIMES, *(script.__name__ for found in LOOK_ALIKES.values() for script, _ in found)}


def test_questions_are_the_same_each_time_and_lie_in_their_videos(plans, sights):
    again = see(plans[3], 64)
    assert again.questions == sights[3].questions and again.regions == sights[3].regions
    for plan, sight in zip(plans, sights):
        for row in sight.questions:
            assert 0 <= row.start_s < row.end_s <= plan.duration_s and row.split == plan.split
            assert row.level in GENERAL_LEVELS and (row.level != "moment" or row.end_s - row.start_s < 0.9)
            assert "{" not in row.question and "[" not in row.question and row.answer[-1] == "."
            assert (row.key in row.options and row.key.lower() in row.answer.lower()) or row.kind in (
                "picture",
                "caption",
            )
        assert all(number % STEP == 0 for number in sight.regions.frames)
    kinds = {row.kind for sight in sights for row in sight.questions}
    assert kinds == {*QUESTIONS, "caption"}
    rows = [row for sight in sights for row in sight.questions]
    assert len({(row.split, row.id) for row in rows}) == len(rows)


def test_phases_are_told_again_to_learn_from_each_time_of_another_cut(plans, sights):
    told = 0
    for plan, sight in zip(plans, sights):
        cuts = [row for row in sight.questions if row.level == "cut"]
        phases = [phase for act in plan.acts for phase in act.phases for _ in range(TOLD_AGAIN)]
        assert len(cuts) == (ROUNDS * len(phases) if plan.split == "train" else 0)
        for number, row in enumerate(cuts):
            phase = phases[number % len(phases)]
            length_s = phase.end_s - phase.start_s
            assert phase.start_s - 0.001 <= row.start_s <= phase.start_s + CUT_OFF * length_s
            assert phase.end_s - CUT_OFF * length_s - 0.001 <= row.end_s <= phase.end_s
            coats = {look.coat for look in phase.slots.values() if isinstance(look, Look) and look.dressed}
            named = {
                colour for colour in COATS if re.search(rf"\bin (a )?{colour}\b|wearing (a )?{colour}\b", row.answer)
            }
            assert named <= coats  # the truth that the annotation tells
        told += len({row.answer for row in cuts})
    assert told > 100


def test_answers_follow_from_the_regions(plans, sights):
    """Who is in the picture is in the answers about it."""
    checked = 0
    for plan, sight in zip(plans, sights):
        for row in sight.questions:
            if row.level != "moment" or row.kind not in ("count", "who wears", "vehicle"):
                continue
            frame = round(row.start_s * plan.fps)
            regions = [region for region in sight.regions.frames[frame] if region.labels]
            people = [region.labels for region in regions if region.labels[0] in PEOPLE]
            if row.kind == "count":
                number = {"nobody": 0, "one": 1, "two": 2, "three": 3, "four": 4}.get(row.key, 5)
                assert min(len(people), 5) == number
            elif row.kind == "who wears":
                colour = next(colour for colour in COATS if re.search(rf"\b{colour}\b", row.question))
                assert [labels[0] for labels in people if colour in labels] == [row.key]
            else:
                assert (row.key == "yes") == any(region.labels[0] in ("car", "van") for region in regions)
            checked += 1
    assert checked > 100


def test_a_rendered_set_holds_both_files(tmp_path):
    annotations = render_miniature(tmp_path, "test", videos=2, seed=5, size=64, workers=1, progress=False)
    regions = read_regions(regions_file(tmp_path, "miniature", "test"))
    assert list(regions) == [entry.whole_path for entry in annotations]
    questions = read_general(tmp_path, "test")
    assert {row.video for row in questions} == set(regions) and read_general(tmp_path, "train") == []


def question(**changes) -> dict:
    fields = {"id": "a_000", "level": "moment", "video": "miniature/videos/test/a.mp4", "start": 1.0, "end": 1.8}
    fields |= {"kind": "count", "question": "How many?", "answer": "Two.", "key": "two", "options": ["one", "two"]}
    return {**fields, **changes}


def test_general_questions_are_read_as_written(tmp_path):
    file = general_file(tmp_path, "miniature", "test")
    file.parent.mkdir()
    file.write_text(json.dumps(question()) + "\n" + json.dumps(question(key="", options=[])) + "\n")
    rows = read_general(tmp_path)
    assert rows[0].options == ("one", "two") and rows[0].span == "miniature/videos/test/a.mp4#1.0-1.8"
    assert (rows[0].source, rows[0].split, rows[0].name, rows[0].whole_path) == (
        "miniature",
        "test",
        "a",
        rows[0].video,
    )
    write_general(tmp_path / "again.jsonl", rows)
    assert read_general(tmp_path / "again.jsonl") == rows
    assert read_general(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"level": "hour"}, "level is 'hour', expected one of moment, clip, video"),
        ({"video": "a.mp4"}, "video is 'a.mp4', expected {source}/videos/{split}/{name}.mp4"),
        ({"start": 2.0}, r"start and end is \(2.0, 1.8\), expected two times in seconds"),
        ({"end": "late"}, "start and end is"),
        ({"question": " "}, "question is ' ', expected a text"),
        ({"answer": None}, "answer is None, expected a text"),
        ({"options": "one two"}, "options is 'one two', expected a list of texts"),
        ({"key": "ten"}, "key is 'ten', expected one of the options, one, two"),
    ],
)
def test_general_questions_with_mistakes_are_told(tmp_path, changes, message):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(question()) + "\n" + json.dumps(question(**changes)) + "\n")
    with pytest.raises(AnnotationError, match=f"rows.jsonl, line 2: {message}"):
        read_general(file)
    file.write_text("[1]\n")
    with pytest.raises(AnnotationError, match="line 1: the line is .*expected a JSON object"):
        read_general(file)


def test_regions_are_read_as_written(tmp_path):
    video = VideoRegions("m/videos/train/a.mp4", {0: (), 8: (Region((0.1, 0.2, 0.3, 0.4), ("man", "red")),)})
    write_regions(tmp_path / "r.jsonl", [video])
    assert read_regions(tmp_path / "r.jsonl") == {video.video: video}
    (tmp_path / "r.jsonl").write_text('{"video": "a", "frames": {"0": [[1, 2]]}}\n')
    with pytest.raises(AnnotationError, match="r.jsonl, line 1: expected"):
        read_regions(tmp_path / "r.jsonl")
