"""Stage 2's data: which rows make conversations, which frames they show, which tokens are learned."""

import copy
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from hivau70k_dataset.general import GeneralQuestion, general_file, write_general
from modeling_holmes_vau import VideoSession
from modeling_holmes_vau.answering.local import HolmesVAUAnswerer
from modeling_holmes_vau.base.journal import JournalDict
from modeling_holmes_vau.checkpoint.small import build_small_tokenizer
from modeling_holmes_vau.frame_rule_holmes_vau import FrameRule
from tests.annotations import SPLIT_ABNORMAL, write_json
from tests.original import REFERENCE
from tests.passes import passes_of
from tests.sft_data import LEVELS, TASKS, write_data
from training.sft_batch import SFTCollator, normalize_pixels
from training.sft_data import (
    FrameChooser,
    random_frames,
    read_conversations,
)
from training.sft_rows import read_rows, write_rows


TALK = [("Is there an anomaly?", "Yes, an arson."), ("What happens?", "A bin burns; it's at 3:05."), ("Why?", "Fire.")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


# ---- rows -----------------------------------------------------------------------------------------------------------


def test_rows_are_one_question_each_or_conversations(data):
    flat, problems = read_conversations(data / "annotations", data / "videos", LEVELS, TASKS)
    assert problems == {} and len(flat) == 24  # abnormal: 3 + 3 + 1, normal: 2 + 2 + 1, two videos each
    assert all(len(talk.turns) == 1 for talk in flat)
    talks, _ = read_conversations(data / "annotations", data / "videos", LEVELS, TASKS, multi_turn=True)
    assert len(talks) == 12
    event = next(talk for talk in talks if talk.segment.name == "ucf-crime/events/train/Arson0_x264_E0.mp4")
    assert [answer for _, answer in event.turns] == [SPLIT_ABNORMAL[task] for task in TASKS[1:]]
    assert event.segment.span_s == (2.0, 4.0)
    clips, _ = read_conversations(data / "annotations", data / "videos", ("clip",), TASKS)
    assert sorted(talk.turns[0][1] for talk in clips)[0] == "It burns." and len(clips) == 4
    with pytest.raises(ValueError, match="no instructions of the split 'test'"):
        read_conversations(data / "annotations", data / "videos", LEVELS, TASKS, split="test")


def test_general_questions_about_one_span_are_one_conversation(data, tmp_path):
    annotations = tmp_path / "annotations"
    shutil.copytree(data / "annotations", annotations)
    video = "ucf-crime/videos/train/Arson0_x264.mp4"
    fields = {
        "kind": "light",
        "question": "Is it day?",
        "answer": "By day.",
        "key": "day",
        "options": ("day", "night"),
    }
    rows = [
        GeneralQuestion("a", "moment", video, 1.0, 1.5, **fields),
        GeneralQuestion("b", "moment", video, 1.0, 1.5, **{**fields, "question": "Dark?", "answer": "No."}),
        GeneralQuestion("c", "clip", video, 2.0, 4.0, **fields),
        GeneralQuestion("d", "moment", video.replace("Arson0", "gone"), 1.0, 1.5, **fields),
    ]
    file = general_file(annotations, "ucf-crime", "train")
    file.parent.mkdir()
    write_general(file, rows)
    found, problems = read_conversations(annotations, data / "videos", [], TASKS, general=["moment"])
    assert [talk.turns for talk in found] == [(("Is it day?", "By day."), ("Dark?", "No."))]
    assert found[0].segment.span_s == (1.0, 1.5) and found[0].segment.path.endswith("Arson0_x264.mp4")
    assert list(problems) == [rows[3].span] and "no such video" in problems[rows[3].span]
    some = [GeneralQuestion(str(i), "moment", video, i / 8, i / 8 + 0.5, **fields) for i in range(10)]
    write_general(file, some)
    asked = {"general": ["moment", "clip"], "general_spans": [4]}
    few, _ = read_conversations(annotations, data / "videos", [], TASKS, **asked)
    assert [talk.segment.span_s[0] for talk in few] == [0.0, 0.25, 0.625, 0.875]
    write_general(file, [*some, *(replace(row, id=f"{row.id}c", level="cut") for row in some)])
    each, _ = read_conversations(
        annotations, data / "videos", [], TASKS, general=["moment", "cut"], general_spans=[1, 2]
    )
    assert [talk.segment.span_s[0] for talk in each] == [0.0, 0.0, 0.625]
    write_general(file, rows)
    both, _ = read_conversations(annotations, data / "videos", ["clip"], TASKS, general=["clip"])
    assert [talk.turns[0][0] for talk in both].count("Is it day?") == 1 and len(both) > 1


def test_instruction_rows_of_one_split_do_not_hide_annotations_of_another(data, tmp_path):
    annotations = shutil.copytree(data / "annotations", tmp_path / "annotations")
    made, _ = read_conversations(annotations, data / "videos", LEVELS, TASKS)
    row = {"id": "1", "type": "video", "task": "judgement", "video": "ucf-crime/videos/test/Arson9_x264.mp4"}
    instruction = annotations / "instruction" / "merge_instruction_test_final.jsonl"
    write_json(instruction, {**row, "prompt": "?", "anwser": "No."})
    assert read_conversations(annotations, data / "videos", LEVELS, TASKS)[0] == made


def test_missing_videos_and_texts_that_mean_pictures_are_left_out(data, tmp_path, caplog):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "Arson0_x264.mp4").symlink_to(data / "videos" / "Arson0_x264.mp4")
    found, problems = read_conversations(data / "annotations", tmp_path, ("video",), TASKS)
    assert len(found) == 3 and problems.keys() == {
        f"ucf-crime/videos/train/{name}_x264.mp4" for name in ("Arson1", "Normal_Videos_0", "Normal_Videos_1")
    }
    assert f"{tmp_path}: 1 file left out: 1 .txt" in caplog.text
    assert set(problems.values()) == {f"no such video under {tmp_path}"}
    found, problems = read_conversations(data / "annotations", data / "videos", LEVELS, TASKS, placeholders=("burns",))
    assert len(found) == 22 and all("burns, which stand for pictures" in problem for problem in problems.values())


# ---- frames ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def segments(data):
    return [talk.segment for talk in read_conversations(data / "annotations", data / "videos", LEVELS, TASKS)[0]]


@pytest.mark.parametrize("sampler", ["ats", "top_k", "uniform"])
def test_frames_are_those_of_inference(sampler, segments, model56, processor56, tmp_path):
    config = model56.config
    rule = FrameRule(2, processor56.frame_stride, sampler, config.sampler_tau)
    chooser = FrameChooser(tmp_path, rule, model56, processor56)
    assert chooser.choose_all(segments) == {}
    answerer = HolmesVAUAnswerer(model56, processor56, num_frames=2, sampler=sampler)
    ways = set()
    for segment in dict.fromkeys(segments[:14]):  # one abnormal and one normal video
        session = VideoSession(segment.path, model56, processor56, 2, segment_s=segment.span_s, sampler=sampler)
        chosen = chooser.frames.entries[segment.key()]["frames"]
        assert chosen == session.encoded().frame_indices.tolist()
        ways.add(session.sampler)
    assert ways == {sampler, "middle"}
    # What the language model gets of them in training is what it gets in inference.
    row = {"frames": chosen, "path": segment.path}
    pixels = normalize_pixels(SFTCollator(processor56, 2).visual(row))
    with torch.no_grad():
        features = model56.get_image_features(
            pixels, vision_feature_layer=-1, vision_feature_select_strategy="default"
        ).pooler_output
    expected = answerer.look(segment).image_features
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)


def test_frames_and_scores_are_kept(segments, model56, processor56, tmp_path):
    rule = FrameRule(2, processor56.frame_stride, "ats", 0.1)
    first = FrameChooser(tmp_path, rule, model56, processor56)
    assert first.choose_all(segments[:7]) == {}
    (broken,) = tmp_path.glob("frames-*/*.jsonl")
    broken.write_bytes(broken.read_bytes()[:-5])  # killed while it wrote
    with passes_of(model56.model.vision_tower) as passes:
        again = FrameChooser(tmp_path, rule, model56, processor56)
        assert len(again.frames.entries) == len(first.frames.entries) - 1
        assert again.choose_all(segments[:7]) == {}
        assert FrameChooser(tmp_path, rule, model56, processor56).frames.entries == first.frames.entries
        other = FrameChooser(tmp_path, replace(rule, num_frames=3, sampler="top_k"), model56, processor56)
        assert other.choose_all(segments[:7]) == {}  # other frames, the same scores
    assert not passes


def test_segments_past_the_end_are_told(segments, model56, processor56, tmp_path):
    whole = segments[0]
    spans = [None, (2.0, 4.0), (2.0, 5.5), (2.0, 400.0), (6.0, 7.0)]  # of 4.8 s
    asked = [replace(whole, span_s=span_s, name=str(span_s)) for span_s in spans]
    chooser = FrameChooser(tmp_path, FrameRule(2, processor56.frame_stride, "uniform", 0.1), model56, processor56)
    problems = chooser.choose_all(asked)
    assert list(problems) == ["(2.0, 400.0)", "(6.0, 7.0)"]
    for problem, said in zip(problems.values(), ("2.0 to 400.0", "6.0 to 7.0")):
        assert f"the span {said} s is past the end of the video (4.8 s)" in problem


def test_processes_share_the_segments(segments, model56, processor56, tmp_path):
    rule = FrameRule(2, processor56.frame_stride, "uniform", 0.1)
    choosers = [FrameChooser(tmp_path, rule, model56, processor56) for _ in range(2)]
    assert [chooser.choose_all(segments, i, 2) for i, chooser in enumerate(choosers)] == [{}, {}]
    seen = [chooser.frames.entries.keys() for chooser in choosers]
    assert all(seen) and not seen[0] & seen[1]
    files = [{json.loads(key)[0].split("_x264")[0] for key in keys} for keys in seen]
    assert not files[0] & files[1]  # all of a file in one process
    cache = JournalDict(choosers[0].frames.folder)
    assert cache.entries.keys() == {segment.key() for segment in segments}


@pytest.mark.parametrize("kept", [0, 9, 20])
def test_rows_that_are_cut_off_are_refused(tmp_path, kept):
    write_rows(tmp_path / "rows.jsonl", [{"video": "a"}, {"video": "b"}, {"video": "c"}])
    assert len(read_rows(tmp_path / "rows.jsonl")) == 3
    (tmp_path / "rows.jsonl").write_bytes((tmp_path / "rows.jsonl").read_bytes()[:kept])
    with pytest.raises(ValueError, match="rows.jsonl is missing or damaged"):
        read_rows(tmp_path / "rows.jsonl")


def test_random_frames_come_one_from_each_part():
    rng = np.random.default_rng(0)
    drawn = np.array([random_frames(10, 100, 4, rng) for _ in range(200)])
    assert (drawn.min(0) >= [10, 35, 60, 85]).all() and (drawn.max(0) < [35, 60, 85, 110]).all()
    assert all(len(set(column)) > 15 for column in drawn.T)
    assert random_frames(5, 2, 4, rng) == [5, 5, 6, 6]


# ---- tokens ---------------------------------------------------------------------------------------------------------


def with_tokenizer(processor, name: str):
    other = copy.copy(processor)
    other.tokenizer = build_small_tokenizer() if name == "small" else AutoTokenizer.from_pretrained(REFERENCE / name)
    return other


@pytest.mark.parametrize("name", ["converted", "small"])
def test_prompts_are_those_of_inference_and_answers_are_learned(name, processor56):
    processor = processor56 if name == "converted" else with_tokenizer(processor56, name)
    ids, labels = processor.encode_turns(TALK, num_frames=3)
    assert len(ids) == len(labels) and all(label in (-100, token) for token, label in zip(ids, labels))
    prompt = processor.user_prompt(TALK[0][0], num_videos=1)
    inference = processor(text=[prompt], num_frames=3)["input_ids"][0]
    assert ids[: len(inference)] == inference and labels[: len(inference)] == [-100] * len(inference)
    runs = "".join("1" if label != -100 else " " for label in labels).split()
    assert len(runs) == 3
    learned = processor.tokenizer.decode([label for label in labels if label != -100])
    assert learned.replace(" ", "") == "".join(f"{answer}<|im_end|>" for _, answer in TALK).replace(" ", "")
    # A further question, by hand and as VideoChat and the sample answers ask it.
    asked = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": TALK[0][0]}]}]
    asked += [{"role": "assistant", "content": [{"type": "text", "text": TALK[0][1]}]}]
    asked += [{"role": "user", "content": [{"type": "text", "text": TALK[1][0]}]}]
    text = processor.apply_chat_template(asked, add_generation_prompt=True)
    second = processor(text=text, num_frames=3, return_tensors="pt")["input_ids"][0].tolist()
    assert ids[: len(second)] == second
    assert labels[len(second)] != -100 and labels[len(second) - 1] == -100
    turns = [TALK[0], (TALK[1][0], None)]
    assert processor.conversation_inputs([turns], 3)["input_ids"].tolist() == [second]
    assert processor.encode_turns(turns, 3) == (second, [-100] * len(second))
    assert processor.count_tokens(turns, 3) == len(second)
    # Several at a time, as evaluation asks.
    both = processor.conversation_inputs([[(TALK[0][0], None)], turns], 3)
    assert both["input_ids"][0, -len(inference) :].tolist() == inference and both["input_ids"][1].tolist() == second
    assert both["attention_mask"].sum(1).tolist() == [len(inference), len(second)]


@pytest.mark.parametrize("turns", [[], [("?", None), ("Why?", "Fire.")]])
def test_what_is_no_conversation(turns, processor56):
    with pytest.raises(ValueError, match="must be questions with answers, of which the last may be None"):
        processor56.conversation_inputs([turns], 3)
