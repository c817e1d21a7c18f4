"""Words from a server about frames that are chosen here: what is sent, and what becomes of a server that fails."""

import base64
import io
import json
import threading
import urllib.parse

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_holmes_vau import cli, open_video
from modeling_holmes_vau.answering.endpoint import ChatClient
from modeling_holmes_vau.answering.served import ServedSession, ServedWords
from modeling_holmes_vau.checkpoint.load import load_checkpoint, load_eyes
from modeling_holmes_vau.levels_holmes_vau import CAPTION, JUDGEMENT
from modeling_holmes_vau.pipeline_holmes_vau import analyze_video
from modeling_holmes_vau.video_processing_holmes_vau import FrameStream
from tests.chat_server import chat_server, completion
from tests.numbered_videos import write
from tests.rivals import write_holmes_vau


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_holmes_vau(tmp_path_factory.mktemp("tiny") / "checkpoint")


@pytest.fixture(scope="module")
def eyes(tiny):
    return load_eyes(tiny)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Long enough that the frames are chosen by their scores."""
    return write(tmp_path_factory.mktemp("clip") / "clip.mp4", num_frames=300)


def words_of(content) -> str:
    return content if isinstance(content, str) else content[-1]["text"]


def echo(asked, number):
    """Each question is answered by itself."""
    return 200, completion(f"On {words_of(asked.body['messages'][-1]['content'])}")


def pictures_in(body: dict) -> list[Image.Image]:
    """The pictures of the first message, of a video or each by itself."""
    found = []
    for part in body["messages"][0]["content"]:
        if part["type"] != "text":
            kind, _, data = part[part["type"]]["url"].partition(";base64,")
            assert kind == ("data:video/jpeg" if part["type"] == "video_url" else "data:image/" + kind.split("/")[1])
            found += [Image.open(io.BytesIO(base64.b64decode(frame))) for frame in data.split(",")]
    return found


def argv(tiny, clip, url, *more):
    words = ["analyze", clip, "--model", tiny, "--endpoint", url, "--endpoint-model", "them", "--device", "cpu", *more]
    return [str(word) for word in words]


def test_the_chosen_frames_are_sent(tiny, clip, capsys):
    options = ["--num-frames", "4", "--prompt", "What?", "--json", "--granularity"]
    model, processor = load_checkpoint(tiny)
    whole = analyze_video(str(clip), model, processor, num_frames=4, max_new_tokens=1)
    expected = FrameStream(open_video(clip), [0], 28).read(whole.sampled_frame_indices).permute(0, 2, 3, 1).numpy()
    with chat_server(echo) as (url, asked):
        for more in (["--jpeg-quality", "png"], ["--frames-as", "images", "--jpeg-quality", "png"], []):
            assert cli.main(argv(tiny, clip, url, *options, *more)) == 0
            analysis = json.loads(capsys.readouterr().out)
            assert analysis["answer"] == "On What?" and analysis["scores"] == whole.scores
            assert analysis["sampled_frame_indices"] == whole.sampled_frame_indices
            sent = np.stack([np.asarray(picture) for picture in pictures_in(asked[-1].body)])
            assert np.abs(sent.astype(int) - expected).max() <= (0 if more else 60)
        video, images, jpeg = (request.body for request in asked)
    assert [part["type"] for part in video["messages"][0]["content"]] == ["video_url", "text"]
    parts = images["messages"][0]["content"]
    assert [part["text"] for part in parts if part["type"] == "text"] == [f"Frame{i}: " for i in (1, 2, 3, 4)] + [
        "What?"
    ]
    assert {picture.format for picture in pictures_in(video) + pictures_in(images)} == {"PNG"}
    assert {picture.format for picture in pictures_in(jpeg)} == {"JPEG"}
    assert video["model"] == "them" and video["temperature"] == 0.0 and video["max_tokens"] == 1024


def test_every_level_is_asked_about_its_own_frames(eyes, clip):
    model, processor = eyes
    with chat_server(echo) as (url, asked):
        words = ServedWords(ChatClient(url, "them"), quality="png")
        analysis = analyze_video(
            str(clip),
            model,
            processor,
            granularity=("video", "event", "clip"),
            event_threshold=1e-6,
            num_frames=3,
            open_session=lambda *args: ServedSession(*args, words=words),
        )
        captions = [
            [picture.tobytes() for picture in pictures_in(request.body)]
            for request in asked
            if words_of(request.body["messages"][0]["content"]) == CAPTION
        ]
    (event,) = analysis.annotation["events"]
    assert event["judgement"] == f"On {JUDGEMENT}" and {part["caption"] for part in event["clips"]} == {
        f"On {CAPTION}"
    }
    assert len({*map(tuple, captions)}) == len(captions) == len(event["clips"]) > 1


def test_chat_tells_the_server_what_was_said(tiny, clip, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("What happens?\nWhy?\n/span 1 4\nWho?\n"))
    with chat_server(echo) as (url, asked):
        words = ["chat", str(clip), *argv(tiny, clip, url)[2:], "--num-frames", "2"]
        assert cli.main(words) == 0
        messages = [request.body["messages"] for request in asked]
    assert capsys.readouterr().out.count("On W") == 3
    said = [[words_of(message["content"]) for message in turns] for turns in messages]
    assert said == [["What happens?"], ["What happens?", "On What happens?", "Why?"], ["Who?"]]
    assert [message["role"] for message in messages[1]] == ["user", "assistant", "user"]
    assert messages[1][0] == messages[0][0] != messages[2][0]  # the frames once, before the first question


def test_a_hundred_requests_and_a_server_that_is_killed_and_comes_back(eyes, tmp_path_factory):
    """Every question gets its answer, about its own frames, and none is asked again that was answered."""
    words, videos = ServedWords(None, concurrency=100), 10
    frames = torch.arange(videos)[:, None, None, None, None].expand(-1, 2, 3, 8, 8).to(torch.uint8) * 20
    words.quality = "png"
    parts = [words.parts(video) for video in frames]
    answered, lock, enough = [], threading.Lock(), threading.Event()

    def answer(asked, number):
        shade = np.asarray(pictures_in(asked.body)[0])[0, 0, 0] // 20
        said = f"{shade}: {words_of(asked.body['messages'][0]['content'])}"
        with lock:
            if enough.is_set() and not is_back.is_set():
                return 503, {"error": "going down"}
            answered.append(said)
            if len(answered) == 30:
                enough.set()
        return 200, completion(said)

    is_back, found = threading.Event(), {}
    with chat_server(answer) as (url, _):
        words.client = ChatClient(url, "them", retries=8)
        conversations = [[(f"question {number}", None)] for number in range(10)]

        def ask(place: int) -> None:
            shown = [type("Shown", (), {"parts": parts[place]})] * 10
            found[place] = words.answer(conversations, shown)

        threads = [threading.Thread(target=ask, args=(place,)) for place in range(videos)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
    is_back.set()
    with chat_server(answer, port=urllib.parse.urlsplit(url).port):
        for thread in threads:
            thread.join()
    assert found == {place: [f"{place}: question {number}" for number in range(10)] for place in range(videos)}
    assert sorted(answered) == sorted(set(answered)) and len(answered) == 100


def test_a_server_that_is_gone_leaves_a_line_a_video_and_resume_goes_on(tiny, tmp_path, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in "abc":
        write(folder / f"{name}.mp4", num_frames=20, size=(48, 32) if name != "b" else (64, 48))
    options = ["--num-frames", "2", "--granularity", "--concurrency", "1", "--retries", "0"]
    options += ["--output", tmp_path / "out", "--resume"]
    is_up = True

    def answer(asked, number):
        nonlocal is_up
        was_up, is_up = is_up, False
        return (200, completion("All is well.")) if was_up else (503, {"error": "overloaded"})

    with chat_server(answer) as (url, asked):
        assert cli.main(argv(tiny, folder, url, *options)) == 1
        said = capsys.readouterr().err
        assert said.count("503 Service Unavailable: overloaded, after 1 try") == 2 and "Traceback" not in said
        lines = [line for line in said.splitlines() if line.startswith("error: ")]
        assert {line.split(":")[1].strip() for line in lines} == {str(folder / "b.mp4"), str(folder / "c.mp4")}
        assert len(asked) == 2  # the third video is not asked about: the server was gone
    with chat_server(echo) as (url, asked):
        assert cli.main(argv(tiny, folder, url, *options)) == 0
        assert len(asked) == 2 and "done before" in capsys.readouterr().err
    assert {path.parent.name for path in (tmp_path / "out").glob("*/report.html")} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--frames-as", "video"], "--frames-as speaks of a server: pass --endpoint URL too"),
        (["--endpoint", "http://localhost:1"], "--endpoint needs --endpoint-model NAME"),
        (["--endpoint", "nowhere", "--endpoint-model", "m"], "must be an address like http://localhost:8000/v1"),
        (["--endpoint", "http://localhost:1", "--endpoint-model", "m", "--concurrency", "0"], "--concurrency must be"),
    ],
)
def test_mistakes_are_a_line(tiny, clip, capsys, more, said):
    assert cli.main(["analyze", str(clip), "--model", str(tiny), "--device", "cpu", *more]) == 1
    written = capsys.readouterr().err
    assert said in written and written.count("\n") == 1


def test_a_refusal_is_a_line(tiny, clip, capsys):
    with chat_server(lambda asked, number: (400, {"error": {"message": "too long\nfor me"}})) as (url, _):
        assert cli.main(argv(tiny, clip, url, "--num-frames", "2")) == 1
    said = capsys.readouterr().err
    assert f"error: {clip}: {url}/v1/chat/completions: 400 Bad Request: too long for me" in said
    with pytest.raises(SystemExit):
        cli.main(argv(tiny, clip, "http://localhost:1", "--jpeg-quality", "0"))
    assert "expected a quality from 1 to 100, or png" in capsys.readouterr().err
