"""Who answers: each is compared with asking its model directly, one question at a time."""

import base64
import io
import json
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import LlamaConfig, LlamaForCausalLM

from hivau70k_dataset.segments import read_segment
from modeling_holmes_vau import HolmesVAUForConditionalGeneration, HolmesVAUProcessor, analyze_video
from modeling_holmes_vau.answering import load_answerer
from modeling_holmes_vau.answering.answerer import middle_frames
from modeling_holmes_vau.answering.endpoint import ChatClient, EndpointAnswerer, EndpointError, RefusedRequest
from modeling_holmes_vau.answering.local import HolmesVAUAnswerer
from modeling_holmes_vau.answering.rival import RivalAnswerer
from modeling_holmes_vau.checkpoint.folder import CheckpointError
from modeling_holmes_vau.checkpoint.small import build_small_tokenizer
from modeling_holmes_vau.spans_holmes_vau import Segment
from tests.chat_server import chat_server, completion
from tests.rivals import write_holmes_vau, write_llava, write_qwen2_vl
from tests.videos import moving_square, write_video


QUESTIONS = [
    "Why?",
    "Could you specify the anomaly events present in the video, and when each of them happens?",
    "Describe the video.",
]
NEW_TOKENS = 8


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> str:
    """300 frames at 25 per second, each of another brightness."""
    frames = moving_square(300)
    frames = (frames * np.linspace(0.2, 1.0, 300)[:, None, None, None]).astype(np.uint8)
    return str(write_video(tmp_path_factory.mktemp("video") / "clip.mp4", frames=frames))


@pytest.fixture(scope="module")
def segments(video) -> list[Segment]:
    return [Segment(video), Segment(video, (2.0, 5.5))]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_holmes_vau(tmp_path_factory.mktemp("tiny") / "tiny")


def load(folder, **options):
    return load_answerer(str(folder), device="cpu", **options)


@pytest.fixture(scope="module")
def rivals(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("rivals")
    return {"qwen2_vl": write_qwen2_vl(folder / "qwen2_vl"), "llava": write_llava(folder / "llava")}


def replies_of(answerer, seen: list, questions: list[str]) -> list:
    """The replies in the order of the questions."""
    found = dict(answerer.answer(seen, questions))
    return [found[place] for place in range(len(questions))]


def ask(answerer, segments: list[Segment], batch: int) -> list[str]:
    """Every question about every segment, `batch` at a time."""
    asked = [(seen, question) for seen in map(answerer.look, segments) for question in QUESTIONS]
    replies = []
    for start in range(0, len(asked), batch):
        replies += replies_of(answerer, *map(list, zip(*asked[start : start + batch])))
    return replies


@pytest.mark.parametrize("options", [{}, {"sampler": "top_k", "num_frames": 4}])
def test_holmes_vau_answers_as_analyze_video(tiny, segments, options):
    model, processor = (
        HolmesVAUForConditionalGeneration.from_pretrained(tiny),
        HolmesVAUProcessor.from_pretrained(tiny),
    )
    answerer = load(tiny, max_new_tokens=NEW_TOKENS, **options)
    assert type(answerer) is HolmesVAUAnswerer
    assert type(answerer.model) is HolmesVAUForConditionalGeneration  # the code installed, not that of the folder
    expected = [
        analyze_video(
            segment.path,
            model,
            processor,
            prompt=question,
            segment_s=segment.span_s,
            max_new_tokens=NEW_TOKENS,
            **options,
        )["answer"]
        for segment in segments
        for question in QUESTIONS
    ]
    assert len(set(expected)) > 3
    for batch in (1, 4, 6):
        assert ask(answerer, segments, batch) == expected


def test_a_question_with_a_placeholder_has_an_error(tiny, segments):
    answerer = load(tiny, max_new_tokens=NEW_TOKENS)
    seen = answerer.look(segments[1])
    alone = replies_of(answerer, [seen], ["Why?"])
    error, reply = replies_of(answerer, [seen, seen], ["What does <video> show?", "Why?"])
    assert isinstance(error, ValueError) and "<video>" in str(error) and [reply] == alone
    assert isinstance(replies_of(answerer, [seen], ["<IMG_CONTEXT>"])[0], ValueError)


def test_middle_frames(video):
    whole = np.concatenate([frames for frames, _ in read_segment(video)])
    for span, expected in [(None, [37, 112, 187, 261]), ((2.0, 5.2), [59, 79, 99, 118]), ((2.0, 2.04), [50] * 4)]:
        frames = middle_frames(Segment(video, span), 4)
        assert all(np.array_equal(frame, whole[index]) for frame, index in zip(frames, expected))
    with pytest.raises(ValueError, match="`start_s` must lie within the video"):
        middle_frames(Segment(video, (90.0, 95.0)), 4)
    with pytest.raises(ValueError, match="the span 1.0 to 400.0 s is past the end of the video"):
        middle_frames(Segment(video, (1.0, 400.0)), 4)


@pytest.mark.parametrize("name", ["qwen2_vl", "llava"])
def test_rivals_answer_the_same_in_any_batch(rivals, segments, name):
    answerer = load(rivals[name], num_frames=3, max_new_tokens=NEW_TOKENS)
    assert type(answerer) is RivalAnswerer
    single = ask(answerer, segments, batch=1)
    assert len(set(single)) > 4  # questions and pictures both matter
    for batch in (4, 6):
        assert ask(answerer, segments, batch) == single


def test_a_question_that_a_rival_takes_for_a_picture_has_an_error(rivals, segments):
    answerer = load(rivals["llava"], num_frames=2, max_new_tokens=NEW_TOKENS)
    seen = answerer.look(segments[1])
    error, reply = replies_of(answerer, [seen, seen], ["<image>\nDescribe.", "Why?"])
    assert isinstance(error, ValueError) and "<image>" in str(error)
    assert [reply] == replies_of(answerer, [seen], ["Why?"])


def test_what_a_processor_does_not_take_is_told_at_once(rivals):
    with pytest.raises(CheckpointError, match="cannot take pictures and a question.*--processor-kwargs"):
        load(rivals["llava"], processor_kwargs={"size": "big"})


def test_a_rival_sees_the_middle_frames_before_the_question(rivals, segments, monkeypatch):
    answerer = load(rivals["qwen2_vl"], num_frames=3, max_new_tokens=2, frames_as="images")
    inputs = {}
    monkeypatch.setattr(
        answerer.model, "generate", lambda **kwargs: inputs.update(kwargs) or torch.zeros((1, 500), dtype=torch.long)
    )
    answerer.answer([answerer.look(segments[1])], ["Why?"])
    expected = answerer.processor.image_processor(middle_frames(segments[1], 3), return_tensors="pt")
    torch.testing.assert_close(inputs["pixel_values"], expected["pixel_values"])
    text = answerer.tokenizer.decode(inputs["input_ids"][0])
    assert text.startswith("<|im_start|>user\n<|vision_start|><|image_pad|>")
    assert text.endswith("<|vision_end|>Why?<|im_end|>\n<|im_start|>assistant\n")
    assert text.count("<|vision_start|>") == 3
    assert inputs["do_sample"] is False and inputs["num_beams"] == 1 and inputs["max_new_tokens"] == 2


def test_frames_are_not_cut_into_tiles(rivals, monkeypatch):
    answerer = load(rivals["llava"])
    assert answerer.processor_kwargs == {} and answerer.num_frames == 16 and answerer.max_new_tokens == 1024
    pictures = answerer.processor.image_processor
    monkeypatch.setattr(pictures, "to_dict", lambda: {"do_image_splitting": True, "size": 1})
    assert RivalAnswerer(answerer.model, answerer.processor).processor_kwargs == {"do_image_splitting": False}
    asked_for = {"do_image_splitting": True, "size": 2}
    answerer = RivalAnswerer(answerer.model, answerer.processor, processor_kwargs=asked_for)
    assert answerer.processor_kwargs == asked_for


def picture_of(part: dict) -> Image.Image:
    """The picture in a part of a message."""
    kind, data = part["image_url"]["url"].split(",")
    assert part["type"] == "image_url" and kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_what_an_endpoint_gets(video):
    with chat_server(
        lambda asked, number: (200, completion(f" {asked.body['messages'][0]['content'][-1]['text']}\n"))
    ) as (
        url,
        asked,
    ):
        answerer = EndpointAnswerer(ChatClient(url, "them"), num_frames=3, max_new_tokens=5, concurrency=2)
        seen = answerer.look(Segment(video, (2.0, 5.2)))
        assert replies_of(answerer, [seen] * 3, QUESTIONS) == QUESTIONS  # without the space around
    assert sorted(request.body["messages"][0]["content"][-1]["text"] for request in asked) == sorted(QUESTIONS)
    body = asked[0].body
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("them", 5, 0.0)
    (message,) = body["messages"]
    assert message["role"] == "user" and [part["type"] for part in message["content"]] == ["image_url"] * 3 + ["text"]
    for part, frame in zip(message["content"], middle_frames(Segment(video, (2.0, 5.2)), 3)):
        picture = picture_of(part)
        assert picture.size == frame.size
        assert np.abs(np.asarray(picture, int) - np.asarray(frame, int)).mean() < 4


def test_frames_as_one_video(video):
    with chat_server(lambda asked, number: (200, completion("Yes."))) as (url, asked):
        answerer = EndpointAnswerer(ChatClient(url, "them"), num_frames=3, frames_as="video")
        told = answerer.complete(answerer.look(Segment(video, (2.0, 5.2))), "Is it day?")
        assert told.text == "Yes." and told.prompt_tokens is None
    shown, question = asked[0].body["messages"][0]["content"]
    kind, frames = shown["video_url"]["url"].split(";base64,")
    assert shown["type"] == "video_url" and kind == "data:video/jpeg" and question["text"] == "Is it day?"
    pictures = [
        picture_of({"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{part}"}})
        for part in frames.split(",")
    ]
    wanted = middle_frames(Segment(video, (2.0, 5.2)), 3)
    assert [picture.size for picture in pictures] == [frame.size for frame in wanted]
    with pytest.raises(ValueError, match="`frames_as` must be one of auto, video, images, got 'gif'"):
        EndpointAnswerer(ChatClient(url, "them"), frames_as="gif")


def test_an_endpoint_that_refuses(video):
    def answer(asked, number):
        text = asked.body["messages"][0]["content"][-1]["text"]
        status = {"filtered": 400, "forbidden": 403}.get(text, 200)
        return status, completion("Fine.") if status == 200 else {"error": text}

    with chat_server(answer) as (url, _):
        answerer = EndpointAnswerer(ChatClient(url, "them"), num_frames=1)
        seen = answerer.look(Segment(video))
        first, refused, last = replies_of(answerer, [seen] * 3, ["a", "filtered", "b"])
        assert first == last == "Fine." and isinstance(refused, RefusedRequest) and "400" in str(refused)
        with pytest.raises(EndpointError, match="403 Forbidden: forbidden; check the key"):
            replies_of(answerer, [seen] * 3, ["a", "forbidden", "b"])


def test_answers_come_before_the_error_that_ends_them(video):
    """One of the first two requests is answered after the other was refused; the third is not begun."""
    refused = threading.Event()

    def answer(asked, number):
        if asked.body["messages"][0]["content"][-1]["text"] == "slow":
            assert refused.wait(10)
            time.sleep(0.1)
            return 200, completion("Fine.")
        refused.set()
        return 403, {"error": "unpaid"}

    with chat_server(answer) as (url, asked):
        answerer = EndpointAnswerer(ChatClient(url, "them"), num_frames=1, concurrency=2)
        seen, came = answerer.look(Segment(video)), []
        with pytest.raises(EndpointError, match="403 Forbidden: unpaid"):
            for place, reply in answerer.answer([seen] * 5, ["slow", "unpaid", "a", "b", "c"]):
                came.append((place, reply))
        assert came == [(0, "Fine.")] and len(asked) == 2


def test_a_caller_that_goes_no_further_has_nothing_more_asked(video):
    def answer(asked, number):
        if number:
            time.sleep(0.2)
        return 200, completion("Fine.")

    with chat_server(answer) as (url, asked):
        answerer = EndpointAnswerer(ChatClient(url, "them"), num_frames=1, concurrency=1)
        answers = answerer.answer([answerer.look(Segment(video))] * 9, ["a"] * 9)
        assert next(answers) == (0, "Fine.")
        answers.close()
        assert len(asked) <= 2  # the one under way is waited for


def write_text_model(folder):
    """A language model that sees nothing."""
    tokenizer = build_small_tokenizer()
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **size)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_checkpoints_that_cannot_answer(tmp_path):
    def says(folder, text: str):
        with pytest.raises(CheckpointError) as caught:
            load(folder)
        assert text in str(caught.value) and str(folder) in str(caught.value) and "\n" not in str(caught.value)

    says("nowhere/at/all", "no such folder")
    (tmp_path / "empty").mkdir()
    says(tmp_path / "empty", "a folder without config.json")
    (tmp_path / "untyped").mkdir()
    (tmp_path / "untyped" / "config.json").write_text("{}")
    says(tmp_path / "untyped", "tells no model_type")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps({"model_type": "never heard of"}))
    says(tmp_path / "other", "cannot be used: ")
    write_text_model(tmp_path / "text")
    says(tmp_path / "text", "has no picture processor")
    for name, template, text in [
        ("silent", None, "has no chat template"),
        ("blind", "{{ raise_exception('texts only') }}", "its chat template takes no pictures: texts only"),
    ]:
        folder = write_llava(tmp_path / name)
        template and (folder / "chat_template.jinja").write_text(template)
        template or (folder / "chat_template.jinja").unlink()
        says(folder, text)
