import numpy as np
import pytest
import torch
from transformers import TextIteratorStreamer

from modeling_holmes_vau import HolmesVAUConfig, HolmesVAUForConditionalGeneration, sample_frames
from modeling_holmes_vau.sampler_holmes_vau import SAMPLERS
from tests.passes import passes_of
from tests.videos import moving_square


QUESTION = "What happens here?"


@pytest.fixture
def frames():
    return moving_square(500)


@pytest.fixture
def count_passes(model56):
    """Frames that went through the vision tower since the test began."""
    with passes_of(model56.model.vision_tower) as passes:
        yield lambda: sum(len(given["pixel_values"]) for given in passes)


def ask(processor, videos, text=QUESTION, **kwargs):
    return processor(videos=videos, text=text, num_frames=4, return_tensors="pt", **kwargs)


def test_one_call_scores_samples_and_answers(model56, processor56, frames, count_passes):
    inputs = ask(processor56, frames)
    output = model56.generate(**inputs, max_new_tokens=5, return_dict_in_generate=True)
    assert count_passes() == 32  # 500 frames, every 16th, once
    scores, chosen = output.anomaly_scores[0], output.frame_indices[0]
    assert scores.shape == (32,) and scores.dtype == torch.float32
    assert chosen.tolist() == (16 * sample_frames(scores, 4)).tolist()
    assert torch.equal(scores, model56.score_frames(inputs["pixel_values_videos"]))
    ids = model56.generate(**inputs, max_new_tokens=5)
    assert torch.equal(ids, output.sequences) and torch.equal(
        ids[:, : inputs["input_ids"].shape[1]], inputs["input_ids"]
    )


def test_answer_equals_the_native_path_on_the_chosen_frames(model56, processor56, frames):
    """What the language model sees is exactly InternVL's path on the frames that were chosen."""
    inputs = ask(processor56, frames)
    output = model56.generate(**inputs, max_new_tokens=5, return_dict_in_generate=True, output_logits=True)
    positions = output.frame_indices[0] // 16
    pixels = inputs["pixel_values_videos"][positions].float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = (pixels - mean[:, None, None]) / std[:, None, None]
    native = model56(input_ids=inputs["input_ids"], pixel_values=pixels)
    torch.testing.assert_close(output.logits[0], native.logits[:, -1], atol=1e-4, rtol=1e-4)
    scored = model56(**inputs)
    torch.testing.assert_close(scored.logits, native.logits, atol=1e-4, rtol=1e-4)


def test_samplers_differ_and_follow_the_configuration(model56, processor56, frames, monkeypatch):
    inputs = ask(processor56, frames)
    chosen = {}
    for sampler in SAMPLERS:
        output = model56.generate(**inputs, max_new_tokens=1, sampler=sampler, return_dict_in_generate=True)
        expected = 16 * sample_frames(output.anomaly_scores[0], 4, sampler)
        assert output.frame_indices[0].tolist() == expected.tolist()
        chosen[sampler] = tuple(expected.tolist())
    assert chosen["uniform"] != chosen["top_k"]
    monkeypatch.setattr(model56.config, "sampler", "top_k")
    output = model56.generate(**inputs, max_new_tokens=1, return_dict_in_generate=True)
    assert tuple(output.frame_indices[0].tolist()) == chosen["top_k"]


def test_tau_reaches_the_sampler(model56, processor56, monkeypatch):
    rng = np.random.default_rng(5)
    dark, wild = np.zeros((320, 64, 80, 3), np.uint8), rng.integers(0, 256, (320, 64, 80, 3)).astype(np.uint8)
    inputs = ask(processor56, np.concatenate((dark, wild)))

    def chosen(**kwargs):
        output = model56.generate(**inputs, max_new_tokens=1, return_dict_in_generate=True, **kwargs)
        return output.frame_indices[0].tolist(), output.anomaly_scores[0]

    default, scores = chosen()
    flat, _ = chosen(sampler_tau=1e6)
    assert flat == (16 * sample_frames(scores, 4, "ats", 1e6)).tolist() != default
    monkeypatch.setattr(model56.config, "sampler_tau", 1e6)
    assert chosen()[0] == flat


def test_a_batch_of_videos_answers_as_one_at_a_time(model56, processor56):
    videos = [moving_square(length, seed=length) for length in (500, 40, 230, 1)]
    questions = ["Why?", "What happens in this long question about the video?", "a", "Describe the video briefly."]
    batch = ask(processor56, videos, questions)
    together = model56.generate(**batch, max_new_tokens=8, return_dict_in_generate=True)
    assert [len(scores) for scores in together.anomaly_scores] == [32, 3, 15, 1]
    for row, (video, question) in enumerate(zip(videos, questions)):
        inputs = ask(processor56, video, question)
        alone = model56.generate(**inputs, max_new_tokens=8, return_dict_in_generate=True)
        new = alone.sequences[0, inputs["input_ids"].shape[1] :]
        assert together.sequences[row, batch["input_ids"].shape[1] :][: len(new)].tolist() == new.tolist()
        torch.testing.assert_close(together.anomaly_scores[row], alone.anomaly_scores[0], atol=1e-5, rtol=0)
        assert together.frame_indices[row].tolist() == alone.frame_indices[0].tolist()


def test_short_videos_show_their_middle_frames(model56, processor56, count_passes):
    output = model56.generate(**ask(processor56, moving_square(40)), max_new_tokens=1, return_dict_in_generate=True)
    assert output.frame_indices[0].tolist() == [4, 14, 24, 33]  # 4 segments of 39 / 4 frames
    assert len(output.anomaly_scores[0]) == 3  # frames 0, 16, 32 are scored all the same
    assert count_passes() == 7


def test_several_videos_in_one_prompt(model56, processor56):
    videos = [moving_square(300, seed=1), moving_square(200, seed=2)]
    inputs = ask(processor56, videos, "Which of the two is calm?")
    assert inputs["input_ids"].shape[0] == 1
    output = model56.generate(**inputs, max_new_tokens=3, return_dict_in_generate=True)
    assert [len(scores) for scores in output.anomaly_scores] == [19, 13]


def test_further_questions_do_not_encode_again(model56, processor56, frames, count_passes):
    messages = [{"role": "user", "content": [{"type": "video", "video": frames}, {"type": "text", "text": QUESTION}]}]
    settings = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
    inputs = processor56.apply_chat_template(messages, **settings, processor_kwargs={"num_frames": 4})
    first = model56.generate(**inputs, max_new_tokens=4, return_dict_in_generate=True)
    passes = count_passes()
    answer = processor56.decode(first.sequences[0, inputs["input_ids"].shape[1] :])
    turns = [
        {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": QUESTION}]},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": "Why?"},
    ]
    following = processor56.apply_chat_template(turns, **settings, processor_kwargs={"num_frames": 4})
    assert "pixel_values_videos" not in following
    second = model56.generate(**following, encoded_videos=first.encoded_videos, max_new_tokens=4)
    assert count_passes() == passes
    turns[0]["content"][0]["video"] = frames
    again = processor56.apply_chat_template(turns, **settings, processor_kwargs={"num_frames": 4})
    assert torch.equal(second, model56.generate(**again, max_new_tokens=4))


def test_cached_keys_continue_a_conversation(model56, processor56, frames):
    """`past_key_values` of the first answer serve the second question."""
    inputs = ask(processor56, frames)
    first = model56.generate(**inputs, max_new_tokens=4, return_dict_in_generate=True)
    ids = torch.cat((first.sequences, torch.tensor([[601, 600, 20, 21, 601]])), dim=1)
    mask = torch.ones_like(ids)
    fresh = model56.generate(input_ids=ids, attention_mask=mask, encoded_videos=first.encoded_videos, max_new_tokens=4)
    continued = model56.generate(
        input_ids=ids,
        attention_mask=mask,
        encoded_videos=first.encoded_videos,
        past_key_values=first.past_key_values,
        max_new_tokens=4,
    )
    assert torch.equal(fresh, continued)


def test_streamer_and_beams(model56, processor56, frames):
    inputs = ask(processor56, frames)
    streamer = TextIteratorStreamer(processor56.tokenizer, skip_prompt=True)
    ids = model56.generate(**inputs, max_new_tokens=6, streamer=streamer)
    text = processor56.decode(ids[0, inputs["input_ids"].shape[1] :])
    assert "".join(streamer).replace("�", "") == text.replace("�", "")
    beams = model56.generate(**inputs, max_new_tokens=6, num_beams=3, num_return_sequences=2)
    assert beams.shape[0] == 2


def test_long_videos_keep_class_tokens_only(model56, processor56, frames, count_passes, monkeypatch):
    inputs = ask(processor56, frames)
    expected = model56.generate(**inputs, max_new_tokens=5, return_dict_in_generate=True)
    passes = count_passes()
    monkeypatch.setattr(model56.config, "max_cached_frames", 20)
    output = model56.generate(**inputs, max_new_tokens=5, return_dict_in_generate=True)
    assert torch.equal(output.sequences, expected.sequences)
    assert count_passes() - passes == 32 + len(output.frame_indices[0].unique())  # the chosen frames once more


def test_frames_may_come_in_chunks(model56, processor56, frames):
    pixels = ask(processor56, frames)["pixel_values_videos"]
    whole = model56.encode_video(pixels, range(0, 500, 16), num_frames=4)
    chunks = model56.encode_video(iter(pixels.split(7)), num_frames=4)
    torch.testing.assert_close(whole.anomaly_scores, chunks.anomaly_scores, atol=1e-6, rtol=0)
    torch.testing.assert_close(whole.image_features, chunks.image_features, atol=1e-5, rtol=1e-4)
    assert whole.dense_frame_indices.tolist() == list(range(0, 500, 16))
    assert torch.equal(whole.frame_indices, 16 * chunks.frame_indices)  # counted from 0 where they are not named


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_bfloat16_keeps_the_scorer_in_float32(checkpoint56, processor56, frames, attention, tmp_path):
    model = HolmesVAUForConditionalGeneration.from_pretrained(
        checkpoint56, dtype=torch.bfloat16, attn_implementation=attention
    )
    assert model.lm_head.weight.dtype == torch.bfloat16
    assert {p.dtype for p in model.anomaly_scorer.parameters()} == {torch.float32}
    original = HolmesVAUForConditionalGeneration.from_pretrained(checkpoint56)
    weight = original.anomaly_scorer.embedding.weight
    assert torch.equal(model.anomaly_scorer.embedding.weight, weight)
    inputs = ask(processor56, frames)
    output = model.generate(**inputs, max_new_tokens=2, return_dict_in_generate=True)
    torch.testing.assert_close(
        output.anomaly_scores[0], original.score_frames(inputs["pixel_values_videos"]), atol=0.05, rtol=0
    )
    model.save_pretrained(tmp_path / "saved")
    again = HolmesVAUForConditionalGeneration.from_pretrained(tmp_path / "saved", dtype="auto")
    assert again.dtype == torch.bfloat16 and torch.equal(again.anomaly_scorer.embedding.weight, weight)


def test_device_map(checkpoint56, processor56, frames, model56):
    model = HolmesVAUForConditionalGeneration.from_pretrained(checkpoint56, device_map="auto")
    inputs = ask(processor56, frames)
    assert torch.equal(model.generate(**inputs, max_new_tokens=3), model56.generate(**inputs, max_new_tokens=3))


@pytest.mark.parametrize("offloaded", ["model.vision_tower", "anomaly_scorer"])
def test_offloaded_parts(checkpoint56, processor56, frames, model56, offloaded, tmp_path):
    parts = ("model.vision_tower", "model.multi_modal_projector", "model.language_model", "lm_head", "anomaly_scorer")
    device_map = {part: "disk" if part == offloaded else "cpu" for part in parts}
    model = HolmesVAUForConditionalGeneration.from_pretrained(
        checkpoint56, device_map=device_map, offload_folder=tmp_path
    )
    inputs = ask(processor56, frames)
    assert torch.equal(model.generate(**inputs, max_new_tokens=3), model56.generate(**inputs, max_new_tokens=3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="flash attention needs a GPU")
def test_flash_attention(checkpoint56, processor56, frames):
    pytest.importorskip("flash_attn")
    answers = []
    for attention in ("sdpa", "flash_attention_2"):
        model = HolmesVAUForConditionalGeneration.from_pretrained(
            checkpoint56, dtype=torch.bfloat16, attn_implementation=attention, device_map="cuda"
        )
        output = model.generate(
            **ask(processor56, frames).to("cuda"), max_new_tokens=1, return_dict_in_generate=True, output_logits=True
        )
        answers.append(output.logits[0])
    torch.testing.assert_close(answers[0], answers[1], atol=0.1, rtol=0.05)


def test_save_and_load_keep_logits_and_key_names(model56, processor56, frames, tmp_path):
    inputs = ask(processor56, frames)
    model56.save_pretrained(tmp_path)
    loaded = HolmesVAUForConditionalGeneration.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, model56(**inputs).logits)
    from safetensors import safe_open

    with safe_open(tmp_path / "model.safetensors", framework="pt") as handle:
        assert set(handle.keys()) == set(model56.state_dict())


def test_training_forward_gives_gradients_to_the_language_model(checkpoint56):
    model = HolmesVAUForConditionalGeneration.from_pretrained(checkpoint56)
    ids = torch.full((1, 10), model.config.image_token_id)
    ids[0, 4:] = 30
    loss = model(input_ids=ids, pixel_values=torch.randn(1, 3, 56, 56), labels=ids.clone()).loss
    loss.backward()
    assert model.lm_head.weight.grad.abs().sum() > 0
    assert model.model.multi_modal_projector.linear_1.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.anomaly_scorer.parameters())


def test_fresh_models_have_a_live_scorer():
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = HolmesVAUConfig(
        vision_config={**tiny, "image_size": 28},
        text_config={**tiny, "model_type": "llama", "vocab_size": 32},
        image_token_id=7,
        image_seq_length=1,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = HolmesVAUForConditionalGeneration(config)
    for name, weight in model.anomaly_scorer.named_parameters():
        assert weight.isfinite().all() and ("norm" in name or "bias" in name or weight.std() > 0), name
    assert model.anomaly_scorer.normal_memory.prototypes.abs().max() <= 512**-0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pixel_values_videos": torch.zeros(4, 3, 56, 56)}, "must be uint8"),
        ({"pixel_values_videos": torch.zeros(0, 3, 56, 56, dtype=torch.uint8)}, "frames >= 1"),
        ({"video_num_frames": torch.tensor([31])}, "adds up to 31"),
        ({"input_ids": torch.full((1, 9), 5)}, "0 frame tokens"),
        ({"input_ids": None}, "need `input_ids`"),
        ({"pixel_values": torch.zeros(1, 3, 56, 56)}, "both images"),
        ({"sampler": "best"}, "one of ats"),
    ],
)
def test_mistakes_are_named(model56, processor56, frames, change, said):
    inputs = {**ask(processor56, frames), **change}
    with pytest.raises(ValueError, match=said):
        model56.generate(**inputs, max_new_tokens=1)


def test_videos_that_do_not_fit_the_prompt(model56, processor56, frames):
    encoded = model56.encode_video(ask(processor56, frames)["pixel_values_videos"], num_frames=3)
    with pytest.raises(ValueError, match="16 frame tokens, but the videos give 12"):
        model56.generate(input_ids=ask(processor56, frames)["input_ids"], encoded_videos=[encoded], max_new_tokens=1)


def test_random_pixels_are_finite(model56):
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 56, 56), dtype=np.uint8))
    assert model56.encode_frames(frames).isfinite().all()
