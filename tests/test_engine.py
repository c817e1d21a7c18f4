"""The engine, steps 1, 2 and 5, and what is in a work folder after people have changed it."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from hivau70k_dataset.cli import main
from hivau70k_dataset.engine.boundaries import read_uca
from hivau70k_dataset.engine.commands import why_nothing
from hivau70k_dataset.engine.decisions import ACCEPTED, EDITED, PROPOSED, REJECTED, Conflict, Decisions
from hivau70k_dataset.engine.division import Division, divide_at_random, random_stretches
from hivau70k_dataset.engine.exchange import all_annotations, take_changes
from hivau70k_dataset.engine.formats import read_format, write_format
from hivau70k_dataset.engine.instruct import annotate, seen_of_clip, seen_of_event, seen_of_video
from hivau70k_dataset.engine.prompts import Prompts
from hivau70k_dataset.engine.state import State, clip_id, event_id
from hivau70k_dataset.engine.work import Work, WorkClip
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import AnnotationError
from modeling_holmes_vau.answering import load_answerer
from modeling_holmes_vau.spans_holmes_vau import Segment
from tests.engine_data import work_folder, work_video
from tests.rivals import write_llava_next_video
from tests.videos import write_video


# ---- step 1 ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three videos of 10 s at 25 frames a second, and one of 3 s."""
    folder = tmp_path_factory.mktemp("videos")
    for name, frames in (("gate", 250), ("yard", 250), ("calm", 250), ("short", 75)):
        write_video(folder / f"{name}.mp4", num_frames=frames)
    return folder


def run(step: str, work: Path, *more: str) -> int:
    return main(["annotate", step, "--work", str(work), *map(str, more)])


def test_a_table_is_taken_apart(videos, tmp_path, capsys):
    table = tmp_path / "spans.csv"
    table.write_text(
        "video,start_s,end_s,label\ngate.mp4,1,3,Arson\ngate.mp4,3,4,Arson\ngate.mp4,6,9,Riot\ncalm.mp4,,,\n"
    )
    options = ("--videos", videos, "--events", table, "--clip-seconds", "2", "--normal-range", "1", "3")
    assert run("decouple", tmp_path / "work", *options) == 0
    assert "2 videos, 1 of them abnormal" in capsys.readouterr().out
    gate, calm = Work(tmp_path / "work").videos()
    spans = [(event.id, event.start_s, event.end_s, event.labels, event.origin) for event in gate.events]
    # What touches and is of one class is one event; what is not continuous is another.
    assert spans == [
        ("e1.000-4.000", 1.0, 4.0, ("Arson",), "given"),
        ("e6.000-9.000", 6.0, 9.0, ("Riot",), "given"),
    ]
    assert [(clip.start_s, clip.end_s) for clip in gate.events[1].clips] == [(6.0, 7.5), (7.5, 9.0)]
    assert gate.labels == ("Arson", "Riot") and gate.n_frames == 250 and gate.fps == 25.0 and gate.path == "gate.mp4"
    assert calm.labels == () and {event.origin for event in calm.events} == {"random"}
    assert all(1.0 <= event.end_s - event.start_s <= 3.0 for event in calm.events)
    before = (tmp_path / "work" / "decouple" / "videos.jsonl").read_bytes()
    assert run("decouple", tmp_path / "work", *options) == 0
    assert (tmp_path / "work" / "decouple" / "videos.jsonl").read_bytes() == before
    assert run("decouple", tmp_path / "work", *options, "--division-seed", "1") == 1
    assert "pass --redo to take them apart again" in capsys.readouterr().err
    assert run("decouple", tmp_path / "work", *options, "--division-seed", "1", "--redo") == 0
    assert run("decouple", tmp_path / "work", *options, "--source", "other") == 1
    assert "was begun with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scorer", "/nowhere"], "--scorer /nowhere: no such folder"),
        (["--events", "/nowhere.csv"], "/nowhere.csv: can't be read"),
        (["--clip-range", "5", "1"], "--clip-range 5 1: expected"),
        (["--videos", "/nowhere"], "does not exist"),
        (["--clips", "/nowhere"], "/nowhere: can't be read"),
        (["--source", "a/b"], "--source 'a/b': expected a name without folders"),
    ],
)
def test_a_mistake_is_a_line_and_begins_nothing(videos, tmp_path, capsys, options, said):
    table = tmp_path / "spans.csv"
    table.write_text("video,start_s,end_s,label\ngate.mp4,1,3,Arson\n")
    assert run("decouple", tmp_path / "work", "--videos", videos, "--events", table, *options) == 1
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told and not (tmp_path / "work" / "work.json").exists()


def test_ground_truth_counts_frames(videos, tmp_path, capsys, caplog):
    truth = tmp_path / "truth.txt"
    truth.write_text(
        "gate.mp4  Arson  25  100  150  200\ncalm.mp4  Normal  -1  -1  -1  -1\ngone.mp4 Arson 1 9 -1 -1\n"
    )
    assert run("decouple", tmp_path / "work", "--videos", videos, "--events", truth) == 1  # one is missing
    assert "left out: gone: no such video" in caplog.text
    gate, _ = Work(tmp_path / "work").videos()
    assert [(event.start_s, event.end_s) for event in gate.events] == [(1.0, 4.0), (6.0, 8.0)]
    truth.write_text("short.mp4  Arson  25  700  -1  -1\n")
    assert run("decouple", tmp_path / "other", "--videos", videos, "--events", truth) == 1
    assert "the event 1.000 to 28.000 s is past its end" in caplog.text


def test_annotations_with_texts_need_no_model(tmp_path, videos, capsys):
    folder = work_folder(
        tmp_path / "first", [replace(work_video(1, ("Arson",)), video="gate", path="gate.mp4")], videos
    )
    state = State(folder)
    whole = state.videos()[0]
    event = replace(whole.events[0], end_s=9.0, clips=(WorkClip(0.0, 4.0, "A bin."), WorkClip(4.0, 9.0, "It burns.")))
    written = all_annotations(
        State(work_folder(tmp_path / "a", [replace(whole, n_frames=250, events=(event,))], videos))
    )
    write_format(written, "label-studio", tmp_path / "tasks.json")
    work = tmp_path / "work"
    assert run("decouple", work, "--videos", videos, "--events", tmp_path / "tasks.json") == 0
    (gate,) = Work(work).videos()
    assert [clip.caption for clip in gate.events[0].clips] == ["A bin.", "It burns."]
    assert run("caption", work, "--model", "/nowhere") == 0  # nothing is asked
    assert "no clip wants a caption (2 were given)" in capsys.readouterr().out


def test_a_captioner_for_videos_is_given_videos(tmp_path, videos, capsys):
    (tmp_path / "spans.csv").write_text("video,start_s,end_s,label\ngate.mp4,1,3,Arson\ngate.mp4,6,9,Arson\n")
    work, model = tmp_path / "work", write_llava_next_video(tmp_path / "LLaVA-NeXT-Video")
    assert run("decouple", work, "--videos", videos, "--events", tmp_path / "spans.csv", "--clip-seconds", "3") == 0
    asked = ("--model", model, "--device", "cpu", "--num-frames", "4", "--max-new-tokens", "8")

    def captions() -> list[str]:
        state = State(Work(work))
        (video,) = state.videos()
        return [state.caption(video, event, clip).text for event in video.events for clip in event.clips]

    def expected(frames_as: str) -> list[str]:
        answerer = load_answerer(str(model), device="cpu", num_frames=4, max_new_tokens=8, frames_as=frames_as)
        clips = (Segment(str(videos / "gate.mp4"), span_s) for span_s in [(1.0, 3.0), (6.0, 9.0)])
        return [answerer.ask(answerer.look(clip), Prompts.read(None).caption) for clip in clips]

    assert run("caption", work, *asked) == 0 and captions() == expected("video")
    assert run("caption", work, *asked, "--frames-as", "images") == 0  # other calls: nothing is taken for the other
    assert captions() == expected("images") != expected("video")
    assert run("caption", work, *asked) == 0 and captions() == expected("video")
    assert capsys.readouterr().out.count("captions: 4 calls") == 2  # the last run made none


def test_clips_as_uca_has_them(videos, tmp_path, capsys):
    table, lines = tmp_path / "spans.csv", tmp_path / "uca.txt"
    table.write_text("video,start_s,end_s,label\ngate.mp4,1,6,Arson\n")
    lines.write_text("gate 0.0 0.9 ##Before.\ngate 1.0 3.0 ##A bin.\n\ngate 3.0 6.5 ##It burns.\n")
    assert run("decouple", tmp_path / "w", "--videos", videos, "--events", table, "--clips", lines) == 0
    (gate,) = Work(tmp_path / "w").videos()
    assert gate.events[0].clips == (WorkClip(1.0, 3.0, "A bin."), WorkClip(3.0, 6.0, "It burns."))
    whole = {"gate": {"duration": 10.0, "timestamps": [[1.0, 3.0]], "sentences": [" A bin. "]}}
    (tmp_path / "uca.json").write_text(json.dumps(whole))
    assert read_uca(tmp_path / "uca.json") == {"gate": [WorkClip(1.0, 3.0, "A bin.")]}
    for text, said in (
        ("gate 1 ##x", "line 1: got"),
        ("gate 3 1 ##x", "expected 0 <= start < end"),
        ("{}", "no clips"),
    ):
        lines.write_text(text)
        with pytest.raises(AnnotationError, match=said):
            read_uca(lines)


def test_the_scorer_proposes(videos, tmp_path, checkpoint56, capsys):
    labels = tmp_path / "labels.csv"
    labels.write_text("video,label\ncalm,Normal\nyard,Arson\n")
    options = ("--videos", videos, "--scorer", checkpoint56, "--labels", labels, "--device", "cpu")
    assert run("decouple", tmp_path / "work", *options, "--threshold", "0.01") == 0
    found = {video.video: video for video in Work(tmp_path / "work").videos()}
    assert len(found) == 4 and all(len(video.scores) == len(video.times_s) > 0 for video in found.values())
    yard, gate = found["yard"], found["gate"]
    assert {event.origin for event in yard.events} == {"proposed"} and yard.events[0].labels == ("Arson",)
    assert yard.events[0].score == max(yard.scores) and gate.labels  # named by the model, or "Anomaly"
    assert found["calm"].labels == () and {event.origin for event in found["calm"].events} == {"random"}
    assert yard.peak(*[yard.events[0].start_s, yard.events[0].end_s]) == yard.events[0].score
    assert run("decouple", tmp_path / "none", "--videos", videos) == 1
    assert "Pass --events FILE with boundaries, or --scorer MODEL" in capsys.readouterr().err


def test_a_kill_costs_the_video_under_way_alone(videos, tmp_path, monkeypatch):
    table = tmp_path / "spans.csv"
    table.write_text("video,start_s,end_s,label\ngate.mp4,1,3,Arson\nyard.mp4,1,3,Arson\nshort.mp4,1,2,Riot\n")
    options = ("--videos", videos, "--events", table)
    assert run("decouple", tmp_path / "quiet", *options) == 0
    from hivau70k_dataset.engine.decouple import Decoupler

    decouple = Decoupler.decouple
    taken = []

    def dies(self, given):
        taken.append(given.video)
        if len(taken) == 2:
            raise KeyboardInterrupt
        return decouple(self, given)

    monkeypatch.setattr(Decoupler, "decouple", dies)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        raise SystemExit(run("decouple", tmp_path / "work", *options))
    assert run("decouple", tmp_path / "work", *options) == 0
    assert taken == ["gate", "yard", "yard", "short"]
    journals = [tmp_path / name / "decouple" / "videos.jsonl" for name in ("quiet", "work")]
    assert journals[0].read_bytes() == journals[1].read_bytes()


def test_divisions_fill_an_event():
    for seed in range(50):
        spans = divide_at_random(3.0, 3.0 + seed, 2.0, 6.0, random.Random(seed)) if seed else []
        assert all(left[1] == right[0] for left, right in zip(spans, spans[1:]))
        assert all(end - start <= 8.0 for start, end in spans)  # the last takes a rest of less than 2 s
        if seed > 2:
            assert all(end - start >= 2.0 - 1e-9 for start, end in spans) and spans[-1][1] == 3.0 + seed
        apart = random_stretches(60.0, (1, 4), (5.0, 20.0), random.Random(seed))
        assert 1 <= len(apart) <= 4 and apart[0][0] >= 0 and apart[-1][1] <= 60.0
        assert all(left[1] <= right[0] + 1e-9 for left, right in zip(apart, apart[1:]))
    assert random_stretches(3.0, (2, 2), (5.0, 20.0), random.Random(0)) == [(0.0, 3.0)]
    with pytest.raises(ValueError, match="--clip-range 5 2: expected"):
        Division(clip_range_s=(5.0, 2.0))


# ---- what people change ---------------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path):
    return State(work_folder(tmp_path / "work", [work_video(1, ("Arson",)), work_video(2)]))


def decide(state: State, item: str, status: str, fields: dict | None = None, about: str = "", who: str = "ann"):
    before = state.decisions.of(item)
    return state.decisions.decide(item, before.rev if before else 0, who, status, fields, about)


def test_edits_of_structure_reach_every_step(state):
    decide(state, "Arson1/e0", EDITED, {"start_s": 2.0, "end_s": 20.0})
    decide(state, "Arson1/e1", REJECTED)
    decide(state, "Arson1/e+ab", EDITED, {"start_s": 30.0, "end_s": 39.0, "labels": ["Riot"]})
    decide(state, "Normal2/e0/0.000-6.000", REJECTED)
    arson, normal = state.videos()
    moved, added = arson.events
    assert (moved.start_s, moved.end_s) == (2.0, 20.0)
    # Given captions stay with the clips that are still inside for the most part.
    assert [(clip.start_s, clip.end_s, clip.caption) for clip in moved.clips] == [
        (2.0, 6.0, "Person 1 does thing 0."),
        (6.0, 12.0, "Person 1 does thing 1."),
    ]
    assert added.origin == "added" and added.labels == ("Riot",) and len(added.clips) == 1
    assert [len(event.clips) for event in normal.events] == [1, 2]
    assert [event.id for event in state.videos(with_rejected=True)[0].events] == ["e0", "e1", "e+ab"]
    decide(state, "Normal2", REJECTED)
    assert [video.video for video in state.videos()] == ["Arson1"]


def test_an_acceptance_counts_for_what_was_seen(state):
    video = state.videos()[0]
    event, clip = video.events[0], video.events[0].clips[0]
    item, seen = clip_id(video.video, event, clip), seen_of_clip(clip, state.caption(video, event, clip))
    assert state.status(item, seen)[0] == PROPOSED
    decide(state, item, ACCEPTED, about=seen)
    assert state.status(item, seen)[0] == ACCEPTED and state.status(item, "other")[0] == PROPOSED
    decide(state, item, EDITED, {"caption": "It burns."}, about=seen)
    assert state.caption(video, event, clip).text == "It burns."
    assert state.status(item, "other")[0] == EDITED  # a person wrote it


def test_nobody_overwrites_anybody(state):
    first = decide(state, "Arson1", ACCEPTED)
    other = Decisions(state.decisions.path)
    with pytest.raises(Conflict, match="ann has accepted this meanwhile"):
        other.decide("Arson1", 0, "bob", REJECTED)
    second = other.decide("Arson1", first.rev, "bob", REJECTED)
    with pytest.raises(Conflict, match="bob has rejected this after you"):
        state.decisions.undo("ann")
    undone = other.undo("bob")
    assert (undone.status, undone.undoes, undone.who) == (ACCEPTED, second.rev, "bob")
    assert other.undo("bob") is None
    state.decisions.load()
    assert state.decisions.undo("ann").status == PROPOSED and state.decisions.rev == 4
    with pytest.raises(ValueError, match="expected one of proposed, accepted"):
        state.decisions.decide("Arson1", 4, "ann", "good")


def test_a_line_cut_off_by_a_kill_is_no_decision(state):
    decide(state, "Arson1", ACCEPTED)
    with state.decisions.path.open("ab") as file:
        file.write(b'{"item": "Norm')
    again = Decisions(state.decisions.path)
    assert again.rev == 1
    again.decide("Normal2", 0, "bob", REJECTED)
    assert [one.item for one in Decisions(state.decisions.path).all] == ["Arson1", "Normal2"]


# ---- step 5 ---------------------------------------------------------------------------------------------------------

TEXTS = {"judgement": "An Arson anomaly exists.", "description": "It burns.", "analysis": "It was lit on purpose."}


def test_unreviewed_and_rejected_items_stay_out(state, tmp_path, capsys):
    work = state.work
    for more in ((), ("--unreviewed",)):  # nothing has been captioned or summarised
        assert run("instruct", work.root, *more) == 1
        said = capsys.readouterr().err
        assert "items have no text: `annotate caption`" in said and "not reviewed" not in said
        assert said.count("\n") == 1
    told = why_nothing(["not reviewed", "no text: a reply of two parts", "not reviewed"])
    assert told.startswith("1 items have no text: ") and "; 2 items are not reviewed: `annotate review`" in told
    decide(state, "Arson1", ACCEPTED, TEXTS)
    decide(state, "Arson1/e0", ACCEPTED, {**TEXTS, "description": "A bin burns."})
    decide(state, "Arson1/e1", REJECTED)
    decide(state, "Arson1/e0/0.000-6.000", ACCEPTED)
    done = annotate(state)
    (arson,) = done.annotations
    assert len(arson.events) == 1 and [clip.caption for clip in arson.events[0].clips] == ["Person 1 does thing 0."]
    assert arson.parts.analysis == "It was lit on purpose." and arson.events[0].parts.description == "A bin burns."
    assert arson.summary == "An Arson anomaly exists. It burns. It was lit on purpose."
    assert done.left_out["Arson1/e0/6.000-12.000"] == "not reviewed" and "Normal2" in done.left_out
    assert run("instruct", work.root) == 0
    files = read_annotation_files(work.annotations)
    assert len(files.annotations) == 1 and len(files.instructions) == 3 + 3 + 1
    assert main(["validate", "--annotations", str(work.annotations)]) == 0
    unreviewed = annotate(state, unreviewed=True)
    assert len(unreviewed.annotations[0].events[0].clips) == 2
    assert unreviewed.left_out["Normal2"].startswith("no text: ")


def test_rows_in_turns(state, tmp_path):
    decide(state, "Arson1", ACCEPTED, TEXTS)
    assert run("instruct", state.work.root, "--conversations", "-o", tmp_path / "out") == 0
    (line,) = map(json.loads, (tmp_path / "out" / "instruction" / "mine_train.jsonl").open())
    assert line["id"] == "Arson1" and line["type"] == "video" and line["video"] == "mine/videos/train/Arson1.mp4"
    assert [turn["from"] for turn in line["conversations"]] == ["human", "gpt"] * 3
    assert [turn["value"] for turn in line["conversations"][1::2]] == list(TEXTS.values())
    rows = read_annotation_files(tmp_path / "out").instructions
    assert [(row.task, row.turn) for row in rows] == [("judgement", 0), ("description", 1), ("analysis", 2)]


# ---- other tools ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["label-studio", "activitynet", "fiftyone", "hivau"])
def test_changes_in_another_tool_become_decisions(state, tmp_path, form):
    for video in state.videos():
        told = TEXTS if video.labels else {"judgement": "No anomaly exists.", "description": "People walk."}
        decide(state, video.video, ACCEPTED, told)
        for event in video.events:
            decide(state, event_id(video.video, event), ACCEPTED, told)
    path = tmp_path / "mine_database_train.json"
    written = all_annotations(state)
    write_format(written, form, path)
    back = read_format(path, form, None, "mine", "train")
    assert back == written
    assert take_changes(state, back, "bob").decisions == []
    arson, normal = back
    event = replace(arson.events[0], start_s=1.0, parts=replace(arson.events[0].parts, analysis="Matches lie there."))
    event = replace(event, summary="x", clips=())
    caption = replace(normal.events[0].clips[0], caption="A dog runs.")
    changed = [
        replace(arson, events=(event,)),
        replace(
            normal, events=(replace(normal.events[0], clips=(caption, normal.events[0].clips[1])), normal.events[1])
        ),
    ]
    taken = take_changes(state, changed, "bob")
    assert [(one.item, one.status) for one in taken.decisions] == [
        ("Arson1/e1", REJECTED),
        ("Arson1/e0", EDITED),
        ("Normal2/e0/0.000-6.000", EDITED),
    ]
    moved = state.videos()[0].events[0]
    assert (moved.start_s, moved.end_s) == (1.0, 12.0)
    assert state.event_summary(state.videos()[0], moved).parts.analysis == "Matches lie there."
    assert state.event_summary(state.videos()[0], moved).parts.description == "It burns."
    first = state.videos()[1].events[0]
    assert state.caption(state.videos()[1], first, first.clips[0]).text == "A dog runs."


def test_digests_tell_what_was_seen(state):
    video = state.videos()[0]
    told = state.video_summary(video)
    assert seen_of_video(video, told) != seen_of_video(replace(video, labels=()), told)
    event = video.events[0]
    assert seen_of_event(video, event, told) != seen_of_event(video, replace(event, end_s=11.0), told)
