"""Every decoding mode of transformers answers about a video as InternVL's own class does about the chosen frames."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    InternVLForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    LogitsProcessorList,
    PreTrainedTokenizerFast,
    StoppingCriteriaList,
    TextIteratorStreamer,
    TextStreamer,
)

from modeling_holmes_vau.modeling_holmes_vau import normalize_pixels
from tests.passes import passes_of
from tests.videos import moving_square


QUESTION = "What happens here?"
NEW = 6  # tokens of an answer

MODES = {
    "greedy": {},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "beams, one kept": {"num_beams": 2, "length_penalty": 0.5, "early_stopping": True},
    "beam sampling": {"num_beams": 3, "do_sample": True},
    "sampling": {"do_sample": True, "num_return_sequences": 3},
    "top_k, temperature": {"do_sample": True, "top_k": 5, "temperature": 1.5},
    "top_p": {"do_sample": True, "top_p": 0.6},
    "min_p": {"do_sample": True, "min_p": 0.2},
    "typical_p": {"do_sample": True, "typical_p": 0.5},
    "prompt lookup": {"prompt_lookup_num_tokens": 3},
    "prompt lookup, long": {"prompt_lookup_num_tokens": 10, "max_matching_ngram_size": 1},
    "prompt lookup, sampling": {"prompt_lookup_num_tokens": 3, "do_sample": True},
    "chunks": {"prefill_chunk_size": 50},
    "chunks and beams": {"prefill_chunk_size": 60, "num_beams": 2},
    "one chunk": {"prefill_chunk_size": 1000},
    "static cache": {"cache_implementation": "static"},
    "static cache and beams": {"cache_implementation": "static", "num_beams": 2},
    "no cache": {"use_cache": False},
    "no cache, beams": {"use_cache": False, "num_beams": 2},
    "repetition_penalty": {"repetition_penalty": 3.0},
    "encoder_repetition_penalty": {"encoder_repetition_penalty": 1.5},
    "encoder_no_repeat_ngram_size": {"encoder_no_repeat_ngram_size": 2},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 1},
    "guidance_scale": {"guidance_scale": 1.5},
    "watermark": {"watermarking_config": {"bias": 4.0}},
    "min_new_tokens": {"min_new_tokens": NEW, "sequence_bias": [[[601], 100.0]]},
    "max_time": {"max_time": 1e-6},
    "synced_gpus": {"synced_gpus": False},
}
REFUSED = {  # by this library or on this machine; where it is not, the answers are equal all the same
    "group beams": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "dola": {"dola_layers": "low"},
    "constrained beams": {"num_beams": 3, "force_words_ids": [[5]]},
    "multi-token prediction": {"use_mtp": True},
    "lookup and sequences": {"prompt_lookup_num_tokens": 3, "do_sample": True, "num_return_sequences": 2},
    "chunks without a cache": {"prefill_chunk_size": 50, "use_cache": False},
    "quantized cache": {
        "cache_implementation": "quantized",
        "cache_config": {"backend": "quanto", "q_group_size": 24},
    },
    "offloaded cache": {"cache_implementation": "offloaded"},
    "misspelt": {"num_beans": 2},
}


@pytest.fixture(scope="module")
def native(model56):
    """InternVL's class of transformers with the very weights of the model."""
    native = InternVLForConditionalGeneration(model56.config).eval()
    native.model, native.lm_head, native.generation_config = model56.model, model56.lm_head, model56.generation_config
    return native


def ask(model, processor, videos, text, num_frames: int = 4) -> SimpleNamespace:
    """The prompt, its videos encoded, and the chosen frames as `pixel_values`."""
    inputs = processor(videos=videos, text=text, num_frames=num_frames, return_tensors="pt")
    encoded = model.encode_videos(**{name: inputs[name] for name in inputs if "video" in name}, num_frames=num_frames)
    per_video = inputs["pixel_values_videos"].split(inputs["video_num_frames"].tolist())
    indices = inputs["video_frame_indices"].split(inputs["video_num_frames"].tolist())
    chosen = [
        frames[torch.searchsorted(numbers, video.frame_indices)]
        for frames, numbers, video in zip(per_video, indices, encoded)
    ]
    ids = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
    return SimpleNamespace(inputs=inputs, ids=ids, encoded=encoded, pixels=normalize_pixels(torch.cat(chosen)))


@pytest.fixture(scope="module")
def asked(model56, processor56):
    return ask(model56, processor56, moving_square(300), QUESTION)


@pytest.fixture(scope="module")
def pair(model56, processor56):
    """Two videos of different length, with questions of different length."""
    videos = [moving_square(length, seed=length) for length in (260, 130)]
    questions = [QUESTION, "Describe the video in a few words, from its beginning to its end."]
    pair = ask(model56, processor56, videos, questions)
    assert (pair.ids["attention_mask"][0, :5] == 0).all() and (pair.ids["attention_mask"][1] == 1).all()
    return pair


@pytest.fixture(scope="module")
def assistants(model56):
    """Language models without eyes: one with the model's words, one with bytes for words and its tokenizer."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    same = LlamaForCausalLM(LlamaConfig(**sizes, vocab_size=model56.config.text_config.vocab_size))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    bytes_only.pre_tokenizer, bytes_only.decoder = pre_tokenizers.ByteLevel(False), decoders.ByteLevel()
    other = LlamaForCausalLM(LlamaConfig(**sizes, vocab_size=len(alphabet)))
    return same.eval(), other.eval(), PreTrainedTokenizerFast(tokenizer_object=bytes_only)


def outcome(generate: Callable, seed: int = 0, **kwargs) -> list[list[int]] | str:
    """Tokens, or the one line that was said in place of them."""
    torch.manual_seed(seed)
    try:
        return generate(max_new_tokens=NEW, **kwargs).tolist()
    except Exception as error:  # whatever the library says
        return f"{type(error).__name__}: {error}"


def same_everywhere(model, native, asked, **kwargs) -> list[list[int]] | str:
    """The outcome, which is one for InternVL's class, for encoded videos and for the frames themselves."""
    expected = outcome(native.generate, **asked.ids, pixel_values=asked.pixels, **kwargs)
    assert outcome(model.generate, **asked.ids, encoded_videos=asked.encoded, **kwargs) == expected
    assert outcome(model.generate, **asked.ids, pixel_values=asked.pixels, **kwargs) == expected
    return expected


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_answers_as_internvl_does(model56, native, asked, mode):
    length = asked.ids["input_ids"].shape[1]
    answer = same_everywhere(model56, native, asked, **MODES[mode])
    assert not isinstance(answer, str), answer
    assert all(len(row) == length + NEW or mode == "max_time" for row in answer)


@pytest.mark.parametrize("mode", REFUSED)
def test_what_the_library_refuses_it_refuses_in_its_own_words(model56, native, asked, mode):
    assert same_everywhere(model56, native, asked, **REFUSED[mode])


@pytest.mark.parametrize(
    "mode", ["greedy", "beams", "sampling", "chunks", "chunks and beams", "static cache", "no cache, beams"]
)
def test_a_padded_batch_of_two_videos(model56, native, pair, mode):
    answers = same_everywhere(model56, native, pair, **MODES[mode])
    assert len(answers) == 2 * MODES[mode].get("num_return_sequences", 1)


def test_the_videos_go_in_as_the_processor_gives_them(model56, asked, pair):
    for one, modes in ((asked, ("prompt lookup", "chunks", "no cache")), (pair, ("beams", "sampling"))):
        for mode in modes:
            expected = outcome(model56.generate, **one.ids, encoded_videos=one.encoded, **MODES[mode])
            assert outcome(model56.generate, **one.inputs, **MODES[mode]) == expected


@pytest.mark.parametrize("mode", ["greedy", "beams", "chunks", "prompt lookup"])
def test_several_videos_in_one_prompt(model56, native, processor56, mode):
    videos = [moving_square(90, seed=1), moving_square(120, seed=2)]
    asked = ask(model56, processor56, videos, "Which of the two is calm?", num_frames=2)
    assert len(asked.ids["input_ids"]) == 1 and len(asked.encoded) == 2
    answer = same_everywhere(model56, native, asked, **MODES[mode])
    assert isinstance(answer, list)
    asked.encoded.reverse()
    assert outcome(model56.generate, **asked.ids, encoded_videos=asked.encoded, **MODES[mode]) != answer


@pytest.mark.parametrize("mode", ["greedy", "beams", "chunks"])
def test_a_row_without_a_video_in_the_batch(model56, native, processor56, mode):
    asked = ask(model56, processor56, [[moving_square(90)], []], [QUESTION, processor56.user_prompt("Who are you?")])
    assert isinstance(same_everywhere(model56, native, asked, **MODES[mode]), list)


@pytest.mark.parametrize("mode", ["greedy", "beams", "sampling", "prompt lookup", "chunks", "no cache"])
def test_text_alone(model56, native, processor56, mode):
    ids = processor56(text=processor56.user_prompt("Who are you?"), return_tensors="pt")
    expected = outcome(native.generate, **ids, **MODES[mode])
    assert isinstance(expected, list) and outcome(model56.generate, **ids, **MODES[mode]) == expected


def test_embeddings_in_place_of_ids(model56, native, asked):
    """InternVL finds the frame tokens among embeddings too."""
    embeds = model56.get_input_embeddings()(asked.ids["input_ids"])
    settings = {"inputs_embeds": embeds, "attention_mask": asked.ids["attention_mask"], "pixel_values": asked.pixels}
    expected = outcome(native.generate, **settings)
    assert isinstance(expected, list) and outcome(model56.generate, **settings) == expected


@pytest.mark.parametrize("do_sample", [False, True])
@pytest.mark.parametrize("who", ["text", "itself", "bytes"])
def test_assistants(model56, native, processor56, asked, assistants, who, do_sample):
    same, other, other_tokenizer = assistants
    kwargs = {"assistant_model": {"text": same, "itself": model56, "bytes": other}[who], "do_sample": do_sample}
    if who == "bytes":
        kwargs |= {"tokenizer": processor56.tokenizer, "assistant_tokenizer": other_tokenizer}
    if who == "bytes" and do_sample:  # the library cuts the assistant's head to the words both share
        kwargs["assistant_model"] = LlamaForCausalLM(other.config).eval()
        kwargs["assistant_model"].load_state_dict(other.state_dict())
    answer = outcome(model56.generate, **asked.ids, encoded_videos=asked.encoded, **kwargs)
    assert isinstance(answer, list), answer
    if not do_sample:  # drafts change the speed alone
        assert answer == outcome(native.generate, **asked.ids, pixel_values=asked.pixels)
    elif who == "text":
        assert answer == outcome(native.generate, **asked.ids, pixel_values=asked.pixels, **kwargs)


def test_assistants_take_one_prompt_at_a_time(model56, native, pair, assistants):
    assert "batch_size = 1" in same_everywhere(model56, native, pair, assistant_model=assistants[0])


def test_frame_tokens_in_drafts_are_words(model56, processor56, asked):
    """A prompt that ends as a frame begins makes prompt lookup draft frame tokens before the first step."""
    start = processor56.tokenizer.convert_tokens_to_ids(processor56.image_start)
    ids = torch.cat((asked.ids["input_ids"], torch.tensor([[start]])), dim=1)
    kwargs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "encoded_videos": asked.encoded}
    expected = outcome(model56.generate, **kwargs)
    assert isinstance(expected, list)
    assert outcome(model56.generate, **kwargs, prompt_lookup_num_tokens=4) == expected


@pytest.mark.parametrize("mode", ["greedy", "no cache", "prompt lookup"])
def test_frame_tokens_that_the_model_says_are_words(model56, asked, mode):
    token = model56.config.image_token_id
    kwargs = {**asked.ids, "encoded_videos": asked.encoded, "sequence_bias": [[[token], 1000.0]], **MODES[mode]}
    answer = outcome(model56.generate, **kwargs)
    assert answer[0][-NEW:] == [token] * NEW


@pytest.mark.parametrize("mode", ["greedy", "chunks", "beams"])
@pytest.mark.parametrize("kept", [60, 190, -1])
def test_a_cache_that_ends_anywhere_in_the_prompt(model56, asked, kept, mode):
    """Before the frame tokens, between them and after them."""
    expected = outcome(model56.generate, **asked.ids, encoded_videos=asked.encoded, **MODES[mode])
    ids = asked.ids["input_ids"]
    places = (ids[0] == model56.config.image_token_id).nonzero()
    assert 60 < places[0] < 190 < places[-1]
    cache = model56(input_ids=ids, encoded_videos=asked.encoded).past_key_values
    cache.crop(-(len(ids[0]) - kept if kept > 0 else 1))
    if mode == "beams":
        cache.batch_repeat_interleave(MODES[mode]["num_beams"])
    kwargs = {**asked.ids, "encoded_videos": asked.encoded, "past_key_values": cache, **MODES[mode]}
    assert outcome(model56.generate, **kwargs) == expected


def test_streamers(model56, native, processor56, asked, capsys):
    tokenizer = processor56.tokenizer
    said = []
    for generate, visual in (
        (native.generate, {"pixel_values": asked.pixels}),
        (model56.generate, {"encoded_videos": asked.encoded}),
    ):
        iterator = TextIteratorStreamer(tokenizer, timeout=60)
        generate(**asked.ids, **visual, max_new_tokens=NEW, streamer=iterator)
        generate(**asked.ids, **visual, max_new_tokens=NEW, streamer=TextStreamer(tokenizer, skip_prompt=True))
        drafted = TextIteratorStreamer(tokenizer, skip_prompt=True, timeout=60)
        generate(**asked.ids, **visual, max_new_tokens=NEW, streamer=drafted, prompt_lookup_num_tokens=3)
        said.append(("".join(iterator), capsys.readouterr().out, "".join(drafted)))
    assert said[0] == said[1] and QUESTION in said[0][0] and said[0][1].strip()


def test_stop_strings(model56, native, processor56, asked):
    length = asked.ids["input_ids"].shape[1]
    answer = outcome(native.generate, **asked.ids, pixel_values=asked.pixels)[0][length:]
    stop = processor56.decode(answer[:2])[-1:]
    stopped = same_everywhere(model56, native, asked, stop_strings=[stop], tokenizer=processor56.tokenizer)
    assert len(stopped[0]) < length + NEW


def test_whoever_looks_at_the_ids_sees_those_of_the_prompt(model56, asked):
    ids, seen = asked.ids["input_ids"], []

    def watch(input_ids, *others):
        seen.append(input_ids[:, : ids.shape[1]].clone())
        return (
            others[0] if isinstance(others[0], torch.Tensor) else torch.tensor([input_ids.shape[1] == len(ids[0]) + 3])
        )

    def allowed(_, row):
        seen.append(row[: ids.shape[1]][None].clone())
        return list(range(20, 40))

    kwargs = {**asked.ids, "encoded_videos": asked.encoded, "max_new_tokens": NEW}
    answer = model56.generate(
        **kwargs,
        logits_processor=LogitsProcessorList([watch]),
        stopping_criteria=StoppingCriteriaList([lambda row, scores, **_: watch(row, scores)]),
        prefix_allowed_tokens_fn=allowed,
    )
    new = answer[0, ids.shape[1] :].tolist()
    assert len(new) == 3 and set(new) <= set(range(20, 40))
    assert len(seen) == 9 and all(torch.equal(prompt, ids) for prompt in seen)


@pytest.mark.parametrize("mode", ["greedy", "beams", "sampling", "prompt lookup", "chunks", "no cache"])
def test_the_whole_output(model56, native, asked, mode):
    settings = {"max_new_tokens": NEW, "return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    settings |= MODES[mode]
    outputs = []
    for generate, visual in (
        (native.generate, {"pixel_values": asked.pixels}),
        (model56.generate, {"encoded_videos": asked.encoded}),
    ):
        torch.manual_seed(0)
        outputs.append(generate(**asked.ids, **visual, **settings, output_hidden_states=True))
    expected, output = outputs
    assert torch.equal(output.sequences, expected.sequences)
    for name in ("scores", "logits"):
        assert len(output[name]) == len(expected[name]) == NEW
        for step, right in zip(output[name], expected[name]):
            torch.testing.assert_close(step, right, atol=1e-4, rtol=1e-4)
    assert [len(layers) for layers in output.hidden_states] == [len(layers) for layers in expected.hidden_states]
    if mode == "beams":
        torch.testing.assert_close(output.sequences_scores, expected.sequences_scores, atol=1e-5, rtol=1e-4)
    video = asked.encoded[0]
    assert torch.equal(output.anomaly_scores[0], video.anomaly_scores) and output.encoded_videos[0] is video
    assert torch.equal(output.frame_indices[0], video.frame_indices)


@pytest.mark.parametrize(("mode", "steps"), [("greedy", 1), ("beams", 1), ("prompt lookup", 1), ("no cache", NEW)])
def test_the_frames_go_to_the_steps_that_read_the_prompt(model56, asked, mode, steps):
    with passes_of(model56) as passes:
        model56.generate(**asked.ids, encoded_videos=asked.encoded, max_new_tokens=NEW, **MODES[mode])
    used = [given["prompt_features"] for given in passes if given.get("prompt_features") is not None]
    assert len(used) == steps <= len(passes)
    assert used[0].features[0] is asked.encoded[0].image_features  # no copy is kept
    assert used[0].index.shape == asked.ids["input_ids"].shape


def test_a_generation_loop_of_ones_own(model56, asked):
    expected = outcome(model56.generate, **asked.ids, encoded_videos=asked.encoded)
    kwargs = {**asked.ids, "encoded_videos": asked.encoded, "custom_generate": type(model56)._sample}
    assert outcome(model56.generate, **kwargs) == expected


def test_forward_by_hand(model56, native, pair):
    labels = pair.ids["input_ids"].masked_fill(pair.ids["attention_mask"] == 0, -100)
    expected = native(**pair.ids, pixel_values=pair.pixels, labels=labels)
    output = model56(**pair.ids, encoded_videos=pair.encoded, labels=labels)
    torch.testing.assert_close(output.logits, expected.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(output.loss, expected.loss, atol=1e-5, rtol=1e-4)
    assert torch.autograd.grad(output.loss, model56.lm_head.weight)[0].abs().sum() > 0
    torch.testing.assert_close(model56(**pair.inputs).logits, expected.logits, atol=1e-4, rtol=1e-4)


def test_forward_by_hand_goes_on_from_a_cache(model56, asked):
    ids = asked.ids["input_ids"]
    cut = int((ids[0] == model56.config.image_token_id).nonzero()[0])
    cache = model56(input_ids=ids[:, :cut]).past_key_values
    whole = model56(input_ids=ids, encoded_videos=asked.encoded).logits
    rest = model56(input_ids=ids[:, cut:], encoded_videos=asked.encoded, past_key_values=cache).logits
    torch.testing.assert_close(rest, whole[:, cut:], atol=1e-4, rtol=1e-4)


def mistakes(model, asked) -> dict[str, tuple[type, str, dict]]:
    """What is said -> what is passed beside the ids."""
    encoded = asked.encoded
    wide = [replace(encoded[0], image_features=torch.zeros(4, 4, 8))]
    embeds = model.get_input_embeddings()(asked.ids["input_ids"])
    return {
        "got `inputs_embeds`": (ValueError, {"encoded_videos": encoded, "inputs_embeds": embeds}),
        "both images": (ValueError, {"encoded_videos": encoded, "pixel_values": asked.pixels}),
        "both `pixel_values_videos` and": (ValueError, {**asked.inputs, "encoded_videos": encoded}),
        "must be a list with an `EncodedVideo` a video, got EncodedVideo": (TypeError, {"encoded_videos": encoded[0]}),
        "16 frame tokens, but the videos give 32": (ValueError, {"encoded_videos": encoded * 2}),
        "16 frame tokens, but the videos give 0": (ValueError, {"encoded_videos": []}),
        "width 8, but this model takes 96": (ValueError, {"encoded_videos": wide}),
    }


def test_mistakes_are_named(model56, processor56, asked):
    for said, (kind, passed) in mistakes(model56, asked).items():
        for call in (model56, model56.generate):
            kwargs = {**asked.ids, **passed}
            with pytest.raises(kind, match=said) as error:
                call(**kwargs) if call is model56 else call(**kwargs, max_new_tokens=1)
            assert "\n" not in str(error.value)
    video, tokenizer = {"encoded_videos": asked.encoded}, processor56.tokenizer
    for said, passed in {
        "16 frame tokens, but the videos give 0": {},  # the video was forgotten
        "16 frame tokens, but the videos give 8": {"pixel_values": asked.pixels[:2]},
        "rewritten (as `token_healing` does)": {**video, "token_healing": True, "tokenizer": tokenizer},
        "would answer without the frames": {**video, "cache_implementation": "paged"},
        "`assistant_early_exit` works with language models alone": {**video, "assistant_early_exit": 1},
    }.items():
        message = outcome(model56.generate, **asked.ids, **passed)
        assert message.startswith("ValueError: ") and said in message and "\n" not in message
