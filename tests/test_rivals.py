"""How other models are shown frames: as one video where they take videos, else as pictures."""

import re
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoVideoProcessor, CLIPImageProcessorPil
from transformers.utils import is_torchvision_available
from transformers.utils.import_utils import is_num2words_available

from modeling_holmes_vau.answering import load_answerer
from modeling_holmes_vau.answering.answerer import middle_frames, see_middle_frames
from modeling_holmes_vau.answering.rival import load_rival_processor, open_processor
from modeling_holmes_vau.answering.rival_videos import ON_PIL, video_processor_on_pil
from modeling_holmes_vau.checkpoint.folder import CheckpointError
from modeling_holmes_vau.frame_rule_holmes_vau import FrameRule, middle_frame_indices
from modeling_holmes_vau.spans_holmes_vau import Segment
from tests import rivals
from tests.videos import moving_square, write_video


# Name of a model, the word that stands for a token of a video, tokens of 4 frames of 160 x 120 pixels.
KINDS = {
    "llava_next_video": ("<video>", 4 * 4),
    "video_llava": ("<video>", 4 * (16 + 1)),
    "llava_onevision": ("<video>", 4 * 4 + 1),
    "internvl": ("<IMG_CONTEXT>", 4 * 4),
    "qwen2_vl": ("<|video_pad|>", 2 * 2),  # two steps in time
    "qwen2_5_vl": ("<|video_pad|>", 2 * 2),
}
QUESTIONS = ["Why?", "Could you specify the anomaly events present in the video?", "Describe the video."]
ONE_LEVEL = 1 / 255 / 0.26  # of 256, as the processors scale it


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> str:
    """300 frames of 160 x 120 pixels at 25 per second, each of another brightness."""
    frames = moving_square(300, height=120, width=160)
    frames = (frames * np.linspace(0.2, 1.0, 300)[:, None, None, None]).astype(np.uint8)
    return str(write_video(tmp_path_factory.mktemp("video") / "clip.mp4", frames=frames))


@pytest.fixture(scope="module")
def segments(video) -> list[Segment]:
    return [Segment(video), Segment(video, (2.0, 5.5))]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict:
    root = tmp_path_factory.mktemp("models")
    return {name: getattr(rivals, f"write_{name}")(root / name) for name in (*KINDS, "llava")}


def load(folder, **options):
    return load_answerer(str(folder), device="cpu", **{"num_frames": 4, "max_new_tokens": 8, **options})


def replies_of(answerer, seen: list, questions: list[str]) -> list[str]:
    found = dict(answerer.answer(seen, questions))
    return [found[place] for place in range(len(questions))]


@pytest.mark.parametrize("name", KINDS)
def test_frames_go_in_as_one_video(models, segments, name):
    answerer, (word, tokens) = load(models[name]), KINDS[name]
    assert answerer.frames_as == "video"
    seen = [answerer.look(segment) for segment in segments]
    inputs = answerer.prepare(seen[:1], ["Why?"])
    id_ = answerer.tokenizer.convert_tokens_to_ids(word)
    assert (inputs["input_ids"] == id_).sum() == tokens
    asked = [(frames, question) for frames in seen for question in QUESTIONS]
    single = [replies_of(answerer, [frames], [question])[0] for frames, question in asked]
    assert len(set(single)) >= 4 and single[: len(QUESTIONS)] != single[len(QUESTIONS) :]  # of questions and frames
    assert replies_of(answerer, *map(list, zip(*asked))) == single


@pytest.mark.parametrize("name", ["llava_next_video", "internvl", "qwen2_vl"])
def test_frames_may_go_in_as_images(models, segments, name):
    answerer, video = load(models[name], frames_as="images"), load(models[name])
    assert answerer.frames_as == "images"
    seen = answerer.look(segments[0])
    as_images, as_video = (each.prepare([seen], ["Why?"])["input_ids"].shape[1] for each in (answerer, video))
    if name == "llava_next_video":  # which cuts a picture into tiles
        assert as_images > 4 * as_video
    assert replies_of(answerer, [seen], ["Why?"]) != replies_of(video, [seen], ["Why?"])


def test_a_model_for_pictures_gets_pictures(models, segments):
    answerer = load(models["llava"])
    assert answerer.frames_as == "images"
    assert answerer.prepare([answerer.look(segments[0])], ["Why?"])["pixel_values"].shape == (4, 3, 28, 28)


@pytest.mark.parametrize("name", ["llava_next_video", "video_llava"])
def test_the_frames_are_those_of_the_uniform_sampler(models, segments, name):
    for segment, (first, count) in zip(segments, [(0, 300), (50, 88)]):
        seen = see_middle_frames(segment, 4)
        chosen = middle_frame_indices(count, 4, first)
        assert FrameRule(num_frames=4, frame_stride=75, sampler="uniform").choose(count, first) == chosen
        assert [first + index for index in seen.indices] == chosen and (seen.count, seen.fps) == (count, 25.0)
        given = load(models[name]).prepare([seen], ["Why?"])["pixel_values_videos"]
        pictures = CLIPImageProcessorPil(size={"shortest_edge": rivals.SIDE}, crop_size=rivals.SQUARE)
        expected = pictures(middle_frames(segment, 4), return_tensors="pt")["pixel_values"]
        torch.testing.assert_close(given[0], expected, rtol=0, atol=2.1 * ONE_LEVEL)


def test_patches_of_a_video_are_those_of_its_frames(models, segments):
    """Of 5 frames, patches of two in a row: the first holds frames 0 and 1, the last frame 4 twice."""
    answerer = load(models["qwen2_vl"], num_frames=5)
    seen = answerer.look(segments[0])
    given = answerer.prepare([seen], ["Why?"])
    assert given["video_grid_thw"].tolist() == [[3, 2, 4]]
    pictures = load(models["qwen2_vl"], frames_as="images").prepare([seen], ["Why?"])["pixel_values"]
    pictures = pictures.reshape(5, 8, 3, 2, 14 * 14)[:, :, :, 0]  # (frames, patches, 3, pixels)
    videos = given["pixel_values_videos"].reshape(3, 8, 3, 2, 14 * 14)
    for step, depth, frame in [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3), (2, 0, 4), (2, 1, 4)]:
        torch.testing.assert_close(videos[step, :, :, depth], pictures[frame], rtol=0, atol=2.1 * ONE_LEVEL)


def test_time_is_told_and_not_rounded(models, segments, monkeypatch):
    answerer = load(models["qwen2_5_vl"], dtype="bfloat16")
    inputs = {}
    monkeypatch.setattr(
        answerer.model, "generate", lambda **kwargs: inputs.update(kwargs) or torch.zeros((1, 500), dtype=torch.long)
    )
    answerer.answer([answerer.look(segments[1])], ["Why?"])
    assert inputs["pixel_values_videos"].dtype == torch.bfloat16
    # two frames a step, of four in the 88 of the segment
    assert inputs["second_per_grid_ts"].tolist() == pytest.approx([2 / (4 / 88 * 25)], rel=1e-6)


def test_half_precision_answers(models, segments):
    answerer = load(models["llava_next_video"], dtype="bfloat16")
    assert answerer.ask(answerer.look(segments[1]), "Describe the video.")


@pytest.mark.parametrize("name", KINDS)
def test_what_stands_in_for_a_video_processor_does_the_same(models, segments, name):
    if not is_torchvision_available():
        pytest.skip("transformers' own video processors need torchvision")
    folder = str(models[name])
    processor = type(load_rival_processor(folder)).__name__
    clip = np.stack([np.asarray(frame) for frame in middle_frames(segments[1], 5)])
    theirs = AutoVideoProcessor.from_pretrained(folder)([clip, clip[::-1].copy()], return_tensors="pt")
    ours = video_processor_on_pil(folder, processor)([clip, clip[::-1].copy()], return_tensors="pt")
    assert theirs.keys() == ours.keys()
    for key, value in theirs.items():
        assert value.dtype == ours[key].dtype
        torch.testing.assert_close(value, ours[key], rtol=0, atol=2.1 * ONE_LEVEL)


def test_every_stand_in_is_tried_here(models):
    classes = {base.__name__ for name in KINDS for base in type(load_rival_processor(str(models[name]))).__mro__}
    assert classes >= set(ON_PIL)


@pytest.mark.parametrize("frames_as", ["images", "video"])
def test_a_model_that_is_told_the_time_in_words(segments, tmp_path, frames_as):
    if not is_num2words_available():
        pytest.skip("SmolVLM's processor needs num2words")
    if frames_as == "video" and not is_torchvision_available():
        pytest.skip("SmolVLM's video processor needs torchvision")
    answerer = load(rivals.write_smolvlm(tmp_path / "smolvlm"), frames_as=frames_as)
    seen = answerer.look(segments[1])
    inputs = answerer.prepare([seen], ["Why?"])
    assert inputs["pixel_values"].shape == (1, 4, 3, 56, 56) and answerer.ask(seen, "Why?")
    prompt = answerer.tokenizer.decode(inputs["input_ids"][0])
    if frames_as == "video":  # frames 10, 32, 54 and 76 of 88 at 25 per second
        assert "four frames from a 0:00:03" in prompt
        assert re.findall(r"from 00:(\d+):", prompt) == [
            "00",
            "01",
            "02",
            "03",
        ]


# ---- errors ---------------------------------------------------------------------------------------------------------


def error_of(folder, **options) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(folder, **options)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_videos_are_not_forced_on_a_model(models, tmp_path):
    assert "takes no videos; leave out --frames-as video" in error_of(models["llava"], frames_as="video")
    silent = shutil.copytree(models["qwen2_vl"], tmp_path / "silent")
    template = (silent / "chat_template.jinja").read_text()
    (silent / "chat_template.jinja").write_text(template.replace("<|video_pad|>", ""))
    assert "takes no videos" in error_of(silent, frames_as="video")
    assert load(silent).frames_as == "images"
    with pytest.raises(CheckpointError, match="`frames_as` must be one of auto, video, images, got 'gif'"):
        load(models["llava"], frames_as="gif")


def test_what_a_processor_does_not_take_is_told_with_a_way_out(models):
    said = error_of(models["qwen2_vl"], processor_kwargs={"size": "big"})
    assert "cannot take a video and a question" in said and "--frames-as images" in said


def test_a_video_processor_that_needs_torchvision_says_so(models, tmp_path, monkeypatch):
    """Qwen3-VL's has nothing that stands in for it. The weights are not looked at before."""
    monkeypatch.setattr("transformers.utils.is_torchvision_available", lambda: False)
    folder = shutil.copytree(models["qwen2_vl"], tmp_path / "qwen3_vl")
    (folder / "model.safetensors").unlink()
    AutoConfig.for_model("qwen3_vl").save_pretrained(folder)
    for frames_as in ("auto", "video"):
        said = error_of(folder, frames_as=frames_as)
        assert "needs torchvision" in said and "`pip install torchvision`" in said and "--frames-as images" in said
    assert open_processor(str(folder), "images")[1] == "images"
