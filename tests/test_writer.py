"""Texts from texts, by a language model on this machine or behind a server."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from modeling_holmes_vau.answering import Completion, load_writer
from modeling_holmes_vau.checkpoint.folder import CheckpointError
from modeling_holmes_vau.checkpoint.small import build_small_tokenizer
from tests.chat_server import chat_server, completion


TEMPLATE = "{% for message in messages %}user {{ message['content'] }} {% endfor %}assistant "


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random language model with a chat template."""
    folder = tmp_path_factory.mktemp("llama")
    tokenizer = build_small_tokenizer()
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **size)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_on_this_machine(folder):
    writer = load_writer(str(folder), device="cpu", max_new_tokens=5)
    told = writer.write("Is it day?")
    assert told.completion_tokens == 5 and told.prompt_tokens > 3 and isinstance(told.text, str)
    assert told == writer.write("Is it day?", {"type": "object"})
    with pytest.raises(ValueError, match="more than the 64 that the model holds"):
        writer.write("day " * 80)


def test_a_model_behind_a_server():
    with chat_server(lambda asked, number: (200, completion(" It is day. "))) as (url, asked):
        writer = load_writer("llama", url, max_new_tokens=7, retries=0)
        assert writer.write("Is it day?", {"type": "object"}) == Completion("It is day.")
    body = asked[0].body
    assert body["messages"] == [{"role": "user", "content": "Is it day?"}] and body["max_tokens"] == 7
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"} and body["temperature"] == 0


def test_what_is_no_language_model(folder, tmp_path):
    with pytest.raises(CheckpointError, match="is no language model that can be used here"):
        load_writer(str(tmp_path), device="cpu")
    silent = tmp_path / "silent"
    silent.mkdir()
    for path in folder.iterdir():
        if path.name != "chat_template.jinja":
            (silent / path.name).write_bytes(path.read_bytes())
    with pytest.raises(CheckpointError, match="has no chat template"):
        load_writer(str(silent), device="cpu")
