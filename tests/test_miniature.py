import json
from dataclasses import asdict

import av
import numpy as np
import pytest

from hivau70k_dataset.instructions import build_instructions
from hivau70k_dataset.labels import classes_of_name, parse_judgement
from hivau70k_dataset.miniature import render as miniature
from hivau70k_dataset.miniature.captions import CAPTIONS
from hivau70k_dataset.miniature.figures import FRAMES, RATES, Pose, pose_of
from hivau70k_dataset.miniature.layouts import FIRST_TEST_LAYOUT, KINDS, TRAIN_LAYOUTS, make_layout
from hivau70k_dataset.miniature.plan import CLASSES, CRIMES, LOOK_ALIKES, build_plan, build_stage, first_class
from hivau70k_dataset.miniature.render import render_miniature
from hivau70k_dataset.miniature.text import annotate
from hivau70k_dataset.miniature.words import GISTS
from hivau70k_dataset.reading import read_annotation_files
from tests.folders import no_file_above


SMALL = {"split": "test", "seed": 5, "size": 64, "progress": False}


@pytest.fixture(scope="module")
def plans():
    return [build_plan(0, split, index) for split, count in (("train", 600), ("test", 120)) for index in range(count)]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("miniature")
    return folder, render_miniature(folder, videos=3, workers=1, **SMALL)


def videos_in(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.mp4"))}


def test_rendering_depends_neither_on_the_workers_nor_on_how_many_videos(tmp_path, rendered):
    folder, annotations = rendered
    fewer = render_miniature(tmp_path, videos=2, workers=2, **SMALL)
    assert fewer == annotations[:2]
    mine, theirs = videos_in(tmp_path), videos_in(folder)
    assert set(mine) == {f"{annotation.video}.mp4" for annotation in annotations[:2]}
    assert all(theirs[name] == content for name, content in mine.items())


def test_files_hold_what_the_annotations_say(rendered):
    folder, annotations = rendered
    for annotation in annotations:
        path = folder / "videos" / annotation.whole_path
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            count = sum(1 for _ in container.decode(video=0))
            assert (count, float(stream.average_rate)) == (annotation.n_frames, annotation.fps)
            assert (stream.width, stream.height, stream.codec_context.name) == (64, 64, "h264")
    files = read_annotation_files(folder)
    assert list(files.annotations) == annotations
    assert list(files.instructions) == build_instructions(annotations, seed=5)


def test_a_second_call_renders_only_what_is_missing(tmp_path, rendered):
    folder, annotations = rendered
    paths = [folder / "videos" / annotation.whole_path for annotation in annotations]

    def drawn_at() -> list[int]:
        return [path.stat().st_mtime_ns for path in paths]

    before, at = videos_in(folder), drawn_at()
    assert render_miniature(folder, videos=3, workers=1, **SMALL) == annotations and drawn_at() == at
    paths[1].unlink()
    paths[2].write_bytes(b"cut short")
    (paths[1].parent / ".killed.123.partial.mp4").write_bytes(b"half")
    render_miniature(folder, videos=3, workers=1, **SMALL)
    assert [new != old for new, old in zip(drawn_at(), at)] == [False, True, True] and videos_in(folder) == before


def test_an_interrupted_call_leaves_no_half_video_and_no_annotations(tmp_path):
    with no_file_above(20_000), pytest.raises(OSError, match="File too large"):
        render_miniature(tmp_path, videos=1, workers=1, **SMALL)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {".miniature.json", ".lock"}


def test_folders_made_otherwise_are_refused(tmp_path, rendered):
    folder, _ = rendered
    with pytest.raises(
        ValueError, match="miniature set made with seed 5, now asked for with seed 6; pass the same.*another output"
    ):
        render_miniature(folder, videos=3, workers=1, **SMALL | {"seed": 6})
    with pytest.raises(ValueError, match="already holds 3 test videos, asked for are 2.*Ask for 3 or more"):
        render_miniature(folder, videos=2, workers=1, **SMALL)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="must be a new or empty folder.*got .*Pass another folder"):
        render_miniature(tmp_path, videos=1, workers=1, **SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "val"}, "`split` must be one of train, test, got 'val'"),
        ({"videos": 0}, "`videos` must be 1 or more, got 0"),
        ({"seed": -1}, "`seed` must be 0 or more, got -1"),
        ({"size": 113}, "`size` must be an even number of pixels from 64 to 1024, got 113"),
        ({"workers": 0}, "`workers` must be 1 or more, got 0"),
    ],
)
def test_bad_arguments_are_explained(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        render_miniature(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def parse(*words: str):
    parser = miniature.argparse.ArgumentParser()
    miniature.add_arguments(parser)
    return parser.parse_args(words)


def test_command_renders_the_recipe_and_refuses_to_bend_it(tmp_path, capsys):
    recipe = {"train": 1, "test": 1}
    miniature.run(parse("--output", str(tmp_path), "--recipe", "default", "--workers", "1"), recipe)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"{tmp_path}: 1 train videos, ") and printed[1].startswith(
        f"{tmp_path}: 1 test videos, "
    )
    assert json.loads((tmp_path / ".miniature.json").read_text())["seed"] == 0
    with pytest.raises(ValueError, match="--recipe default fixes --seed, got both"):
        miniature.run(parse("--output", str(tmp_path), "--recipe", "default", "--seed", "1"))


def test_classes_are_balanced_and_every_script_is_played(plans):
    firsts = [first_class(0, "train", index) for index in range(180)]
    assert {name: firsts.count(name) for name in CLASSES} == dict.fromkeys(CLASSES, 10) and firsts.count("") == 80
    played = {act.label or act.kind for plan in plans for act in plan.acts}
    assert played == {*CLASSES, *(script.__name__ for scripts in LOOK_ALIKES.values() for script, _ in scripts)}
    facts = {phase.fact for plan in plans for act in plan.acts for phase in act.phases}
    assert facts | {name for name in CAPTIONS if name.startswith("ambient/")} == set(CAPTIONS)
    anomalies = sum(len(plan.events) for plan in plans)
    look_alikes = sum(len(plan.acts) - len(plan.events) for plan in plans)
    assert 0.8 < look_alikes / anomalies < 1.5
    inside = [plan for plan in plans if plan.events and len(plan.acts) > len(plan.events)]
    assert len(inside) > 50  # look-alikes in the normal stretches of abnormal videos too
    counts = [len(plan.events) for plan in plans]
    assert set(counts) == {0, 1, 2, 3} and counts.count(1) > 4 * counts.count(2) > counts.count(3) > 0


def test_events_lie_in_their_videos_in_order_and_nowhere_in_particular(plans):
    places = []
    for plan in plans:
        assert 20 <= plan.duration_s <= 180 and 10 <= plan.fps <= 30
        ends = 0.0
        for act in plan.acts:
            assert ends <= act.phases[0].start_s and act.phases[-1].end_s <= plan.duration_s
            for before, after in zip(act.phases, act.phases[1:]):
                assert before.start_s < before.end_s <= after.start_s + 1e-9
            ends = act.phases[-1].end_s
        for act in plan.events:
            start_s, end_s = act.phases[0].start_s, act.phases[-1].end_s
            assert (2 if act.is_cut else 4) <= end_s - start_s <= 25, (plan.name, start_s, end_s)
            places.append(0.5 * (start_s + end_s) / plan.duration_s)
    thirds = np.histogram(places, (0, 1 / 3, 2 / 3, 1))[0] / len(places)
    assert thirds.min() > 0.2 and thirds[1] < 0.5


def test_events_touch_both_ends_of_videos(plans):
    events = [(plan, act) for plan in plans for act in plan.events]
    early = [plan for plan, act in events if act.phases[0].start_s == 0]
    late = [plan for plan, act in events if act.phases[-1].end_s == plan.duration_s]
    assert 0.08 < len(early) / len(events) < 0.25 and 0.08 < len(late) / len(events) < 0.25
    for plan in early[:5] + late[:5]:  # something of the event is seen in the first and in the last frame
        stages = build_stage(plan, 64), build_stage(plan, 64, events=False)
        time_s = 0.0 if plan in early else (plan.n_frames - 1) / plan.fps
        one, two = (stage.frame(0, time_s).astype(int) for stage in stages)
        assert (np.abs(one - two).max(axis=2) > 20).any(), plan.name
    cut = next(annotate(plan) for plan in late if len(plan.events) == 1)
    assert "ends" in cut.events[-1].parts.description and cut.events[-1].end_s >= cut.duration_s - 0.001


def test_train_and_test_share_no_layout(plans):
    numbers = {split: {plan.layout.number for plan in plans if plan.split == split} for split in ("train", "test")}
    assert max(numbers["train"]) < TRAIN_LAYOUTS <= FIRST_TEST_LAYOUT <= min(numbers["test"])
    assert len(numbers["train"]) > 50 and len(numbers["test"]) > 10
    assert make_layout("shop", 3) == make_layout("shop", 3) and make_layout("shop", 3) != make_layout("shop", 1000)
    assert {plan.layout.kind for plan in plans if plan.split == "test"} == set(KINDS)


@pytest.mark.parametrize("label", CLASSES)
def test_each_anomaly_changes_the_picture_while_it_happens_and_not_before(plans, label):
    plan = next(
        p
        for p in plans
        if p.labels == (label,) and len(p.events) == 1 and p.events[0].start_s > 1 and not p.events[0].is_cut
    )
    act = plan.events[0]
    stages = build_stage(plan, 112), build_stage(plan, 112, events=False)

    def gap(time_s: float) -> float:
        index = round(time_s * plan.fps)
        one, two = (stage.frame(index, time_s).astype(int) for stage in stages)
        return float((np.abs(one - two).max(axis=2) > 30).mean())

    assert gap(0.5 * act.start_s) == gap(act.start_s - 0.1) == 0.0
    for phase in act.phases:
        moments = np.linspace(phase.start_s, phase.end_s, 7)[1:-1]
        assert max(gap(float(time_s)) for time_s in moments) > 0.008, phase.fact


def test_words_follow_the_truth(plans):
    for plan in plans[::3]:
        annotation = annotate(plan)
        assert classes_of_name(annotation.video) == plan.labels[:1]
        verdict = parse_judgement(annotation.parts.judgement)
        assert (verdict.abnormal, set(verdict.classes)) == (bool(plan.labels), set(plan.labels))
        assert (annotation.parts.analysis is None) == (not plan.labels)
        acts = plan.events or None
        for event, act in zip(annotation.events, acts or annotation.events):
            assert len(event.clips) == (len(act.phases) if acts else len(event.clips)) > 0
            assert event.summary.startswith(f"{event.parts.judgement} {event.parts.description}")
        text = json.dumps(asdict(annotation))
        assert text.isascii() and not set("[]{}|") & set(annotation.summary) and "  " not in text


def test_another_draw_words_the_same_truth_differently(plans):
    plan = next(plan for plan in plans if plan.labels == ("Robbery",))
    draws = [annotate(plan, draw) for draw in range(6)]
    assert len({annotation.summary for annotation in draws}) == 6
    assert len({annotation.events[0].clips[0].caption for annotation in draws}) > 3
    spans = {tuple((clip.start_s, clip.end_s) for clip in annotation.events[0].clips) for annotation in draws}
    assert len(spans) == 1
    robber = plan.events[0].phases[0].slots["a"]
    assert all(robber.coat in annotation.events[0].parts.description for annotation in draws)


def test_every_class_has_its_words_and_every_action_its_pose():
    assert {name.split("/")[0] for name in GISTS} == set(CRIMES)
    assert all(isinstance(pose_of(action, 0.3), Pose) for action in [*FRAMES, *RATES])
    with pytest.raises(ValueError, match="No pose is known for the action 'fly'"):
        pose_of("fly", 0.0)
