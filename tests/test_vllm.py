"""A real vLLM, and `transformers serve`, on what `holmes-vau export` writes; `make test-vllm` builds what they need.

Both say, token by token, what our own model says of the same pictures; with JPEG in between, of the pictures that JPEG
leaves.
"""

import base64
import io
import json
import os
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_holmes_vau import cli
from modeling_holmes_vau.answering.pictures import frame_parts
from modeling_holmes_vau.answering.served import messages_about
from modeling_holmes_vau.checkpoint.convert import convert
from modeling_holmes_vau.checkpoint.export import export
from modeling_holmes_vau.checkpoint.load import load_checkpoint
from tests.model_server import serving
from tests.numbered_videos import numbered_frame, write
from tests.original import widen_heads, write_original_checkpoint, write_qwen2_checkpoint


PYTHON = os.environ.get("HOLMES_VAU_VLLM")
pytestmark = pytest.mark.skipif(not PYTHON, reason="HOLMES_VAU_VLLM names no Python with vLLM: `make test-vllm` does")
START_S = 1800.0  # on a busy machine
NEW_TOKENS = 12
QUESTIONS = ("What happens here?", "Why do you judge this event to be anomalous?")


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def checkpoint(request, tmp_path_factory):
    """A checkpoint of random weights with an InternLM2 or a Qwen2 as its language model, of 56 px."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "llama":
        original = widen_heads(write_original_checkpoint(folder / "original"))
    else:
        original, _ = write_qwen2_checkpoint(folder / "original")
    return convert(original, original / "anomaly_scorer.pth", folder / "checkpoint")


@pytest.fixture(scope="module")
def exported(checkpoint):
    return export(checkpoint, checkpoint.parent / "exported")


@pytest.fixture(scope="module")
def vllm(exported):
    """The address of vLLM."""
    line = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", exported, "--dtype", "float32"]
    line += ["--max-model-len", "1024", "--enforce-eager", "--media-io-kwargs", '{"video": {"num_frames": -1}}']
    with serving(line, exported.parent / "vllm.log", START_S, VLLM_CPU_KVCACHE_SPACE="1") as url:
        yield url


def pictures_of(number: int, num_frames: int) -> list[Image.Image]:
    """Frames of a video of its own."""
    frames = [numbered_frame(16 * number + index, 64, 64) for index in range(num_frames)]
    return [Image.fromarray(frame).resize((56, 56), Image.Resampling.BICUBIC) for frame in frames]


def pictures_in(parts: list[dict]) -> np.ndarray:
    """What a server sees in parts of a message, `(frames, height, width, 3)`."""
    data = [part[part["type"]]["url"].partition(",")[2].split(",") for part in parts if part["type"] != "text"]
    frames = [frame for several in data for frame in several]
    return np.stack([np.asarray(Image.open(io.BytesIO(base64.b64decode(frame))).convert("RGB")) for frame in frames])


def whole_letters(value) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\ufffd", "")


def our_tokens(model, processor, parts: list[dict], question: str) -> list[int]:
    """What our own model says of these pictures."""
    frames = torch.from_numpy(pictures_in(parts)).permute(0, 3, 1, 2)
    encoded = model.encode_video(frames, selected=list(range(len(frames))))
    inputs = processor.conversation_inputs([[(question, None)]], len(frames))
    output = model.generate(**inputs, encoded_videos=[encoded], max_new_tokens=NEW_TOKENS)
    return output[0, inputs["input_ids"].shape[1] :].tolist()


def post(url: str, model, parts: list[dict], question: str, **more) -> dict:
    """The first choice of a server's answer."""
    body = {"model": str(model), "messages": messages_about(parts, [(question, None)]), "temperature": 0.0, **more}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=START_S) as response:
        return json.load(response)["choices"][0]


def test_vllm_says_what_our_model_says(vllm, checkpoint, exported, capsys):
    """8 and 12 frames, several videos at once, as a video and as pictures; PNG, then JPEG."""
    model, processor = load_checkpoint(checkpoint)
    asked = [
        (frame_parts(pictures_of(number, num_frames), frames_as, quality, labels=True), question)
        for number, num_frames, frames_as in ((0, 8, "video"), (1, 12, "video"), (2, 12, "images"))
        for question in QUESTIONS
        for quality in ("png", 90)
    ]
    more = {"max_tokens": NEW_TOKENS, "return_token_ids": True}
    with ThreadPoolExecutor(len(asked)) as pool:
        got = list(pool.map(lambda pair: post(vllm, exported, *pair, **more)["token_ids"], asked))
    expected = [our_tokens(model, processor, *pair) for pair in asked]
    assert got == expected
    assert len({tuple(tokens) for tokens in expected}) > 3
    same = sum(exact == lossy for exact, lossy in zip(got[::2], got[1::2]))
    with capsys.disabled():
        print(f"\nJPEG of quality 90 leaves {same} of {len(got) // 2} answers as they are")


def test_the_whole_way_by_the_command(vllm, checkpoint, exported, tmp_path, capsys):
    clip = write(tmp_path / "clip.mp4", num_frames=300)
    options = ["--device", "cpu", "--max-new-tokens", str(NEW_TOKENS), "--json", "--granularity", "video"]
    assert cli.main(["analyze", str(clip), "--model", str(checkpoint), *options]) == 0
    here = json.loads(capsys.readouterr().out)
    words = ["--endpoint", vllm, "--endpoint-model", str(exported), "--jpeg-quality", "png"]
    assert cli.main(["analyze", str(clip), "--model", str(exported / "eyes"), *words, *options]) == 0
    there = json.loads(capsys.readouterr().out)
    for name in ("scores", "events", "sampled_frame_indices"):
        assert there[name] == here[name]
    for name in ("answer", "annotation"):
        # random weights begin and end with parts of letters, which vLLM leaves out
        assert whole_letters(there[name]) == whole_letters(here[name])


def test_transformers_serve_says_it_too(checkpoint, exported, tmp_path):
    """It takes no videos: frames go in as pictures."""
    model, processor = load_checkpoint(checkpoint)
    parts = frame_parts(pictures_of(3, 8), "images", "png", labels=True)
    line = [PYTHON, "-m", "transformers.cli.transformers", "serve", exported, "--device", "cpu", "--dtype", "float32"]
    with serving(line, tmp_path / "log", START_S) as url:
        for question in QUESTIONS:
            said = post(url, exported, parts, question, max_tokens=NEW_TOKENS)["message"]["content"]
            expected = processor.decode(our_tokens(model, processor, parts, question), skip_special_tokens=True)
            assert said == expected
