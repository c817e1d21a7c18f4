"""Outputs of the original release, reproduced by the public route: its folder format, `convert`, the Auto classes."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoProcessor

from modeling_holmes_vau.checkpoint.convert import convert
from modeling_holmes_vau.frame_rule_holmes_vau import middle_frame_indices
from modeling_holmes_vau.video_processing_holmes_vau import resize_frames
from modeling_holmes_vau.video_reader_holmes_vau import open_video
from tests.original import REFERENCE, read_json, recipe, write_original_checkpoint


def load(folder):
    model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
    return model, AutoProcessor.from_pretrained(folder, trust_remote_code=True)


def close(got, expected, tolerance):
    torch.testing.assert_close(got, torch.as_tensor(expected), atol=tolerance, rtol=0)


@torch.no_grad()
def test_scorer(tmp_path):
    """The released scorer's sizes: class tokens of width 1024."""
    original = write_original_checkpoint(tmp_path / "original", width=1024)
    model, _ = load(convert(original, original / "anomaly_scorer.pth", tmp_path / "converted"))
    expected = np.load(REFERENCE / "scorer_seed0.npz")
    for length in (1, 2, 7, 64, 333):
        features = torch.from_numpy(recipe.tensor(f"features_{length}", (1, length, 1024), 0))
        close(model.anomaly_scorer(features)[0], expected[f"scores_{length}"], 1e-5)


@torch.no_grad()
def test_model(checkpoint56):
    model, _ = load(checkpoint56)
    expected = np.load(REFERENCE / "internvl2_tiny56_seed0.npz")
    pixels, ids = torch.from_numpy(expected["pixel_values"]), torch.from_numpy(expected["input_ids"])
    tokens = model.model.vision_tower(pixel_values=pixels).last_hidden_state
    close(tokens[:, 0], expected["class_tokens"], 1e-4)
    close(tokens[:, 1:], expected["patch_tokens"], 1e-4)
    close(model.project_frames(tokens[:, 1:]), expected["projected"], 1e-4)
    close(model(input_ids=ids, pixel_values=pixels).logits, expected["logits"], 1e-4)
    mask = torch.ones_like(ids)
    new = model.generate(input_ids=ids, attention_mask=mask, pixel_values=pixels, max_new_tokens=24)[0, ids.shape[1] :]
    # The original generates from embeddings and puts a start token first.
    assert new.tolist() == expected["generated"][0, 1:].tolist()


def test_preprocessing(real_videos):
    samples, mean = np.load(REFERENCE / "preprocess_samples.npz"), torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    for name, expected in read_json("preprocess.json").items():
        with open_video(real_videos / f"{name}.mp4") as video:
            assert video.num_frames == expected["num_frames"]
            assert video.fps == pytest.approx(expected["fps"], abs=1e-3)
            pixels = resize_frames(video.read(expected["frame_indices"]), 448).float() / 255
        pixels = (pixels - mean) / deviation
        close(pixels.mean((1, 2, 3)), np.float32(expected["mean"]), 1e-3)
        close(pixels.std((1, 2, 3), correction=0), np.float32(expected["std"]), 1e-3)
        close(pixels[:, :, 5::32, 7::32], samples[name], 0.04)
        for number in (8, 12, 16):
            assert middle_frame_indices(expected["num_frames"], number) == expected[f"uniform_{number}"]


@pytest.fixture(scope="module")
def checkpoint448(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny448")
    original = write_original_checkpoint(folder / "original", image_size=448)
    return load(convert(original, original / "anomaly_scorer.pth", folder / "converted"))


@pytest.mark.parametrize("name", ["robbery", "earthquake", "car_accident"])
@pytest.mark.parametrize("num_frames", [8, 12])
def test_whole_pipeline(checkpoint448, real_videos, name, num_frames):
    model, processor = checkpoint448
    expected = read_json("end_to_end_tiny448_seed0.json")[f"{name}_{num_frames}"]
    logits = np.load(REFERENCE / "end_to_end_tiny448_seed0_first_logits.npz")[f"{name}_{num_frames}"]
    question = expected["prompt"].split("</img>\n")[-1].split("<|im_end|>")[0]
    video = str(real_videos / f"{name}.mp4")

    inputs = processor(videos=video, text=question, num_frames=num_frames, return_tensors="pt")
    prompt = processor.decode(inputs["input_ids"][0]).removeprefix("<s>")
    assert prompt == expected["prompt"].replace("<IMG_CONTEXT>*256", "<IMG_CONTEXT>" * 256)
    assert inputs["input_ids"].shape[1] == expected["prompt_token_count"]

    number = len(expected["generated"]) - 1
    settings = {"max_new_tokens": number, "return_dict_in_generate": True, "output_logits": True}
    output = model.generate(**inputs, **settings)
    assert output.frame_indices[0].tolist() == expected["frame_indices"]
    if expected["scores"] is not None:
        close(output.anomaly_scores[0], np.float32(expected["scores"]), 2e-3)
    close(output.logits[0][0], logits, 0.05)
    new = output.sequences[0, inputs["input_ids"].shape[1] :]
    # Ids, not text: these random bytes are no UTF-8, where the slow tokenizer keeps the valid ones among them.
    assert new.tolist() == expected["generated"][1:]
