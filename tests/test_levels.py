"""Words at every level, from one pass; and what is done with them in the terminal."""

import json
import os
import sys

import pytest
import torch

from hivau70k_dataset.cli import main as dataset
from hivau70k_dataset.reading import read_annotation_files
from modeling_holmes_vau import EventRule, VideoSession, analyze_video, cli
from modeling_holmes_vau.cli.chat import Conversation, talk
from modeling_holmes_vau.cli.terminal import curve, summary
from modeling_holmes_vau.levels_holmes_vau import check_levels, cut_evenly, describe_levels
from tests.videos import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("levels") / "street.mp4", num_frames=700)  # 28 s


@pytest.fixture
def session(video, model56, processor56):
    """With two events, whatever the scores of an untrained scorer are."""
    session = VideoSession(video, model56, processor56, num_frames=4)
    scores = session.scores.clone().fill_(0.1)
    scores[5:15], scores[30:33] = 0.9, 0.8  # 3.2 to 9.6 s, 19.2 to 21.12 s
    session.encoder.scores = lambda: scores
    return session


def test_levels_are_named_once_and_clips_bring_their_events():
    assert check_levels(["clip"]) == ("event", "clip") and check_levels(["event", "video", "event"]) == (
        "video",
        "event",
    )
    with pytest.raises(ValueError, match="some of video, event, clip, got 'clips'"):
        check_levels(["clips"])


def test_an_event_is_cut_evenly():
    assert cut_evenly(2.0, 4.0) == [(2.0, 4.0)]
    spans = cut_evenly(1.0, 18.0)
    assert len(spans) == 3 and spans[0][0] == 1.0 and spans[-1][1] == pytest.approx(18.0)
    assert all(one[1] == two[0] for one, two in zip(spans, spans[1:]))


def test_all_levels_from_one_pass(session, model56):
    passes, told, encode = [], [], model56.encode_frames
    model56.encode_frames = lambda frames: passes.append(len(frames)) or encode(frames)
    try:
        annotation = describe_levels(session, on_answer=lambda *counts: told.append(counts), max_new_tokens=3)
    finally:
        del model56.encode_frames
    events = annotation["events"]
    assert [(event["start_s"], event["end_s"]) for event in events] == [(3.2, 9.6), (19.2, pytest.approx(21.12))]
    assert all(event["judgement"] and event["description"] and event["analysis"] for event in events)
    assert [len(event["clips"]) for event in events] == [1, 1] and events[0]["clips"][0]["caption"]
    # 3 answers for the video and each event, one a clip; frames that were kept are not encoded again.
    assert told == [(done, 11) for done in range(1, 12)]
    assert sum(passes) <= 4 * 4
    assert (annotation["n_frames"], annotation["fps"], annotation["labels"]) == (700, 25, ["Anomaly"])


@pytest.mark.parametrize("levels", [("video",), ("event",), ("video", "event")])
def test_what_is_not_asked_for_is_not_said(session, levels):
    annotation = describe_levels(session, levels, max_new_tokens=1)
    assert (annotation["judgement"] is not None) == ("video" in levels)
    assert len(annotation["events"]) == 2 * ("event" in levels)
    assert not any(event["clips"] for event in annotation["events"])


def test_a_normal_video_has_nothing_to_be_analysed(session):
    session.event_rule = EventRule(1.0, 1.0)
    annotation = describe_levels(session, max_new_tokens=1)
    assert annotation["events"] == annotation["labels"] == [] and annotation["analysis"] is None


def test_frames_around_an_event_are_of_both_sides(session):
    inside, around = session.encoded((4.0, 8.0)), session.encoded((4.0, 8.0), context=0.5)
    assert all(100 <= index < 200 for index in inside.frame_indices.tolist())
    before, *within, behind = around.frame_indices.tolist()
    assert 0 <= before < 100 and all(100 <= index < 200 for index in within) and 200 <= behind < 300
    whole = session.encoded((0.0, 28.0), context=0.5)  # nothing is around it
    assert torch.equal(whole.frame_indices, session.encoded().frame_indices)


def test_several_questions_are_each_asked_alone(video, model56, processor56):
    alone = [analyze_video(video, model56, processor56, prompt=q, max_new_tokens=3).answer for q in ("What?", "Why?")]
    both = analyze_video(video, model56, processor56, prompt=["What?", "Why?"], max_new_tokens=3)
    assert both.answers == [{"question": q, "answer": a} for q, a in zip(("What?", "Why?"), alone)]
    assert (both.prompt, both.answer) == ("What?", alone[0])
    with pytest.raises(ValueError, match="holds no question"):
        analyze_video(video, model56, processor56, prompt=[])


def test_the_command_line_writes_what_the_dataset_tools_read(video, checkpoint56, tmp_path, capsys):
    (tmp_path / "questions.txt").write_text("Who is there?\n\nIs it dark?\n", encoding="utf-8")
    line = ["analyze", str(video), "--model", str(checkpoint56), "--device", "cpu", "--max-new-tokens", "3"]
    levels = ["--granularity", "video", "event", "clip"]
    asked = ["--prompt", "What?", "--questions", str(tmp_path / "questions.txt")]
    assert cli.main([*line, *levels, *asked, "--output", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert [row.split(maxsplit=1)[1] for row in out.splitlines() if row.startswith("  question")] == [
        "What?", "Who is there?", "Is it dark?"
    ]  # fmt: skip
    (annotation,) = read_annotation_files(tmp_path / "out").annotations
    written = json.loads((tmp_path / "out" / "street" / "analysis.json").read_text(encoding="utf-8"))
    assert annotation.video == "street" and annotation.summary == written["annotation"]["summary"]
    assert len(written["answers"]) == 3 and written["options"]["granularity"] == levels[1:]
    rows = tmp_path / "rows.jsonl"
    assert dataset(["instructions", "--annotations", str(tmp_path / "out"), "--output", str(rows)]) == 0
    assert {json.loads(row)["task"] for row in rows.read_text().splitlines()} >= {"judgement", "description"}
    dataset(["validate", "--annotations", str(tmp_path / "out"), "--videos", str(video.parent)])
    assert (
        "unclear_judgement" in (found := capsys.readouterr().out) and found.count("street") == 1
    )  # the model's words
    assert cli.main([*line, "--granularity", "--output", str(tmp_path / "alone")]) == 0
    with pytest.raises(ValueError, match="without `annotation`.*--granularity"):
        read_annotation_files(tmp_path / "alone")


def test_the_terminal_shows_the_curve_and_what_is_said_of_each_event(session):
    encoded = session.encoded()
    annotation = describe_levels(session, ("event",), max_new_tokens=1)
    annotation["events"][0] |= {
        "judgement": "A Robbery exists.",
        "description": "A man " + "runs and " * 30 + "falls.",
    }
    analysis = session.analysis(encoded, "What?", "A man\nruns.", 0.5, annotation=annotation)
    lines = summary(analysis, "street.mp4").splitlines()
    assert "  scores   ▁▁▁▁▁██████████▁" in "\n".join(lines)
    (event,) = [line for line in lines if line.startswith("  events")]
    assert event.split()[1:5] == ["0:03.2", "0:09.6", "peak", "0.90"] and event.endswith("Robbery")
    assert "  answer   A man" in lines and "           runs." in lines and max(map(len, lines)) <= 110
    parsed = cli.build_parser().parse_args(["analyze", "a.mp4", "--segment", *event.split()[1:3]])  # may be pasted
    assert parsed.segment == [[3.2, 9.6]]
    assert curve([0.0, 0.9, 0.0, 0.0], 2) == "█▁" and curve([1.0], 60) == "█" and len(curve([0.5] * 1000, 60)) == 60


def test_a_conversation_in_the_terminal(session, tmp_path, capsys):
    conversation = Conversation(session, {"max_new_tokens": 3})
    lines = ["/events", "What?", "/event 2", "Why?", "/frames", "/span 0:04 8", "/event 3", "/span 1", "/nothing"]
    talk(conversation, [*lines, f"/save {tmp_path / 'said.json'}", f"/save {tmp_path / 'said.txt'}", "/quit", "never"])
    out, err = capsys.readouterr()
    assert "  1  0:03.2 to 0:09.6, peak 0.90" in out and "about event 2, 0:19.2 to 0:21.1, 4 frames of it" in out
    assert [line.split(":")[1].strip() for line in err.splitlines()] == ["/event 3", "/span 1", "/nothing"]
    said = json.loads((tmp_path / "said.json").read_text(encoding="utf-8"))["said"]
    assert [(one["about"], one["question"]) for one in said] == [
        ("the whole video", "What?"), ("event 2, 0:19.2 to 0:21.1", "Why?")
    ]  # fmt: skip
    assert said[0]["answer"] in out  # streamed
    assert "> Why?" in (tmp_path / "said.txt").read_text(encoding="utf-8")


def test_chat_is_a_command(video, checkpoint56, monkeypatch, capsys):
    read, write = os.pipe()
    with os.fdopen(write, "w") as asking:
        asking.write("What?\n\n/event 1\n")
    with os.fdopen(read) as answering:
        monkeypatch.setattr(sys, "stdin", answering)
        line = ["chat", str(video), "--model", str(checkpoint56), "--device", "cpu", "--max-new-tokens", "2"]
        assert cli.main(line) == 0
    out, err = capsys.readouterr()
    assert "about the whole video" in out and "/event 1: no such event" in err
    assert cli.main(["chat", "/nowhere.mp4"]) == 1
