"""What an analysis must say against itself: contradictions, pictures without an event, more frames than fit."""

import json
import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from modeling_holmes_vau import cli
from modeling_holmes_vau.judgement_holmes_vau import compare_verdicts, describe_verdict, verdict_in_words
from modeling_holmes_vau.pipeline_holmes_vau import analyze_video
from modeling_holmes_vau.session_holmes_vau import VideoChat, VideoSession, check_room
from tests.videos import moving_square, write_video


ANOMALIES, SCENE = "Are there any anomaly events detected in the video?", "What happens here?"
EVENT = {"start_s": 0.0, "end_s": 2.0, "peak_score": 0.96}


@pytest.mark.parametrize(
    ("question", "answer", "verdict"),
    [
        (ANOMALIES, "An anomaly exists, specifically a Shooting anomaly.", "abnormal"),
        (ANOMALIES, "There is no anomaly event (Shooting) in the video.", "normal"),
        (ANOMALIES, "Yes.", "abnormal"),
        (ANOMALIES, "Yes, people run.", "abnormal"),
        (ANOMALIES, "No.", "normal"),
        (SCENE, "There are no unusual events.", "normal"),
        (SCENE, "A brawl breaks out in the store.", "abnormal"),
        (SCENE, "A man does not stop.", None),
        (SCENE, "No one is there.", None),
        (SCENE, "Yes.", None),
        (SCENE, "A man walks by.", None),
        ("What colour is the car?", "The car in the accident is red.", None),
        ("How many people are there?", "None.", None),
        (SCENE, "", None),
        (SCENE, "Two men talk in the parking lot. There are no suspicious events.", "normal"),
        (SCENE, "Two men talk. Nothing out of the ordinary happens", "normal"),
        (SCENE, "Two men talk. One of them behaves suspiciously.", "abnormal"),
        (SCENE, "Two men talk. Anomalies are not visible.", "normal"),
        (SCENE, "A man does not stop. The anomaly event is a collision of two cars.", "abnormal"),
        ("What colour is the car?", "It is red. There is no anomaly.", None),
    ],
)
def test_verdict_in_words(question, answer, verdict):
    assert verdict_in_words(question, answer) == verdict


def test_contradictions_are_told():
    against = compare_verdicts([EVENT], ANOMALIES, "There are no unusual events.")
    assert against == {"scores": "abnormal", "answer": "normal", "agree": False}
    assert describe_verdict(against) == "the scores say abnormal, the answer normal: they contradict each other"
    with_it = compare_verdicts([], SCENE, "Nothing abnormal is seen.")
    assert with_it["agree"] is True and describe_verdict(with_it) == "normal by scores and answer"
    open_end = compare_verdicts([], SCENE, "A man walks by.")
    assert (
        open_end["agree"] is None
        and describe_verdict(open_end) == "normal by the scores; no verdict is read from the answer"
    )


def test_a_contradiction_is_on_terminal_and_page(demo_folder, tmp_path, monkeypatch, capsys):
    """The model in the box denies any anomaly of an ordinary video, and a score of nearly 0 is made to be an event."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(next((demo_folder / "videos").rglob("Normal*.mp4")), tmp_path / "street.mp4")
    options = ["--prompt", "What types of anomalies are shown in the video clip?", "--device", "cpu"]
    assert cli.main(["analyze", "street.mp4", "--threshold", "0.00005", "--output", "out", *options]) == 0
    said = "the scores say abnormal, the answer normal: they contradict each other"
    out, page = capsys.readouterr().out, (tmp_path / "out" / "street" / "report.html").read_text(encoding="utf-8")
    assert out.startswith("street.mp4\n") and f"  verdict  {said}\n" in out
    assert f'<p class="warning" role="alert">{said}</p>' in page
    assert "<td>street.mp4</td>" in page and str(tmp_path / "street.mp4") not in page
    analysis = json.loads((tmp_path / "out" / "street" / "analysis.json").read_text(encoding="utf-8"))
    assert analysis["verdict"]["agree"] is False and analysis["video"] == str(tmp_path / "street.mp4")


def still(length: int) -> np.ndarray:
    slope = np.add.outer(np.arange(64), np.arange(80))[..., None].repeat(3, axis=-1).astype(np.uint8)
    return np.repeat(slope[None], length, axis=0)


def dark_noise(length: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, (length, 64, 80, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (moving_square(1), "a single frame: nothing to judge an event by"),
        (still(40), "the picture does not change: nothing to judge an event by"),
        (np.zeros((40, 64, 80, 3), np.uint8), "the picture is of one colour: nothing to judge an event by"),
        (dark_noise(40), "the picture is of one colour: nothing to judge an event by"),
        (moving_square(40), None),
    ],
    ids=["single", "still", "black", "dark noise", "moving"],
)
def test_pictures_without_an_event(model56, processor56, tmp_path, frames, said):
    video = write_video(tmp_path / "a.mp4", frames=frames)
    analysis = analyze_video(video, model56, processor56, num_frames=2, max_new_tokens=1)
    assert analysis.get("warning") == said
    assert analyze_video(frames, model56, processor56, fps=25, num_frames=2, max_new_tokens=1).get("warning") == said


def test_one_frame_in_words(checkpoint56, tmp_path, capsys):
    video = write_video(tmp_path / "one.mp4", 1)
    assert cli.main(["analyze", str(video), "--model", str(checkpoint56), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert ", 1 frame at " in out and "  warning  a single frame" in out


def test_a_small_movement_is_a_change(model56, processor56):
    frames = still(40)
    frames[20:, 30:34, 40:43] = 255  # 12 of 5120 pixels
    assert "warning" not in analyze_video(frames, model56, processor56, fps=25, num_frames=2, max_new_tokens=1)


def test_frames_without_a_rate_have_no_times(model56, processor56):
    frames = moving_square(40)
    inputs = processor56(videos=frames, text="a", num_frames=2, return_tensors="pt")
    assert model56.generate(**inputs, max_new_tokens=1).shape[0] == 1
    for video in (frames, list(frames), [Image.fromarray(frame) for frame in frames]):
        with pytest.raises(ValueError, match="pass `fps`"):
            analyze_video(video, model56, processor56, max_new_tokens=1)
        with pytest.raises(ValueError, match="pass `fps`"):
            VideoSession(video, model56, processor56)
    with pytest.raises(ValueError, match="pass `fps`"):
        processor56(videos=frames, text="a", segment_s=(0.5, 1.0))
    analysis = analyze_video(frames, model56, processor56, fps=10, num_frames=2, max_new_tokens=1)
    assert analysis["duration_s"] == 4.0 and analysis["dense_times_s"] == [0.0, 1.6, 3.2]


def test_times_have_six_digits(model56, processor56, tmp_path):
    video = write_video(tmp_path / "a.mp4", 21, rate=30)
    analysis = analyze_video(video, model56, processor56, num_frames=2, max_new_tokens=1)
    assert (analysis["duration_s"], analysis["dense_times_s"]) == (0.7, [0.0, 0.533333])


def test_more_frames_than_the_language_model_holds(model56, processor56, monkeypatch, tmp_path):
    question, limit = SCENE, 5
    for fits in (3, 30):
        inputs = processor56(videos=moving_square(40), text=question, num_frames=fits, return_tensors="pt")
        context = inputs["input_ids"].shape[1] + limit
        monkeypatch.setattr(model56.config.text_config, "max_position_embeddings", context)
        check_room(model56, processor56, fits, question, limit)
        with pytest.raises(ValueError, match=f"`num_frames` is {fits + 1}, but at most {fits} fit"):
            check_room(model56, processor56, fits + 1, question, limit)
        model56.generate(**inputs, max_new_tokens=limit)
        with pytest.raises(ValueError, match=rf"the answer may have {limit + 1}, but the language model\s.*{context}"):
            model56.generate(**inputs, max_new_tokens=limit + 1)
    with pytest.raises(ValueError, match="`max_new_tokens` is 5000, but no frame fits beside such an answer"):
        check_room(model56, processor56, 2, question, 5000)
    with pytest.raises(ValueError, match="5000, but at most"):  # before it is opened
        analyze_video(tmp_path / "missing.mp4", model56, processor56, num_frames=5000, max_new_tokens=1)
    with pytest.raises(ValueError, match="5000, but at most"):
        VideoSession(tmp_path / "missing.mp4", model56, processor56, num_frames=5000)


def test_a_conversation_that_is_full_is_one_line(model56, processor56, monkeypatch):
    chat = VideoChat.open(moving_square(40), model56, processor56, fps=25, num_frames=2)
    chat.ask("What?", max_new_tokens=2)
    length = processor56(text=processor56.user_prompt("What?", 1), num_frames=2)["input_ids"]
    monkeypatch.setattr(model56.config.text_config, "max_position_embeddings", len(length) + 4)
    with pytest.raises(ValueError, match="shorter conversation"):
        chat.ask("Why?", max_new_tokens=2)


def test_generate_tells_what_the_checkpoint_has_not_learned(model56, processor56, monkeypatch, caplog):
    said = "trained on nothing at all"
    monkeypatch.setattr(model56.config, "warning", said)
    inputs = processor56(videos=moving_square(40), text="a", return_tensors="pt")
    for _ in range(2):  # once in a program
        output = model56.generate(**inputs, max_new_tokens=1, return_dict_in_generate=True)
    assert caplog.text.count(said) == 1
    monkeypatch.setattr(model56.config, "warning", f"{said}, again")
    text = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    model56.generate(**text, encoded_videos=output.encoded_videos, max_new_tokens=1)  # a further question
    assert "again" not in caplog.text


def test_more_frames_than_trained_are_told(model56, processor56, monkeypatch, caplog):
    monkeypatch.setattr(processor56, "num_frames", 2)
    frames, said = moving_square(40), "3 frames shown, but trained with 2: answers may be worse"
    for number, expected in ((2, None), (3, said)):
        analysis = analyze_video(frames, model56, processor56, fps=25, num_frames=number, max_new_tokens=1)
        assert analysis.get("warning") == expected
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            inputs = processor56(videos=frames, text="a", num_frames=number, return_tensors="pt")
            model56.generate(**inputs, max_new_tokens=1)
        assert (said in caplog.text) == (expected is not None)
