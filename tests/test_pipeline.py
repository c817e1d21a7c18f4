import numpy as np
import pytest
import torch

from modeling_holmes_vau import HolmesVAUForConditionalGeneration, VideoChat, analyze_video, find_events, open_video
from modeling_holmes_vau.spans_holmes_vau import find_gaps
from tests.numbered_videos import write
from tests.videos import moving_square, write_video


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.0, 0.0, 0.0], []),
        ([0.4, 0.4, 0.4], []),  # above the low threshold alone
        ([0.6, 0.6, 0.6], [(0.0, 6.0, 0.6)]),
        ([0.1, 0.35, 0.9, 0.35, 0.1], [(2.0, 8.0, 0.9)]),
        ([0.9, 0.1, 0.9], [(0.0, 2.0, 0.9), (4.0, 6.0, 0.9)]),
        ([0.1, 0.1, 0.5], [(4.0, 6.0, 0.5)]),
    ],
)
def test_events_by_hand(scores, expected):
    times = [2.0 * i for i in range(len(scores))]
    events = find_events(scores, times, end_s=2.0 * len(scores))
    assert [(e["start_s"], e["end_s"], pytest.approx(e["peak_score"])) for e in events] == expected


def test_short_events_are_dropped():
    assert find_events([0.9, 0.0, 0.9, 0.9], [0.0, 0.5, 1.0, 1.5], 2.0) == [
        {"start_s": 1.0, "end_s": 2.0, "peak_score": 0.9}
    ]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.9, 0.9, 0.9, 0.9], [(0.0, 2.0), (1000.0, 1002.0)]),
        ([0.9, 0.4, 0.4, 0.4], [(0.0, 2.0)]),  # what follows the gap must reach the threshold itself
        ([0.1, 0.9, 0.1, 0.1], [(1.0, 2.0)]),
        ([0.1, 0.1, 0.9, 0.1], [(1000.0, 1001.0)]),
    ],
)
def test_no_event_lasts_through_a_gap(scores, expected):
    events = find_events(scores, [0.0, 1.0, 1000.0, 1001.0], end_s=1002.0, gaps_s=[(2.0, 1000.0)])
    assert [(event["start_s"], event["end_s"]) for event in events] == expected


def test_what_a_gap_cuts_off_may_be_too_short():
    assert find_events([0.9, 0.0], [0.0, 1000.0], 1001.0, gaps_s=[(0.5, 999.0)]) == []


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """200 frames at 22.5 a second, nothing for an hour, 200 frames."""
    ticks = [*range(0, 800, 4)] + [*range(324_000, 324_800, 4)]
    return write(tmp_path_factory.mktemp("gap") / "gap.mp4", 400, ticks=ticks)


def test_a_recording_with_a_gap_of_an_hour(model56, processor56, recording, monkeypatch):
    monkeypatch.setattr(model56.config, "event_low_threshold", 0.0)
    monkeypatch.setattr(model56.config, "event_threshold", 0.0)
    analysis = analyze_video(recording, model56, processor56, num_frames=4, max_new_tokens=1)
    end_s = 800 / 90
    assert analysis["fps"] == pytest.approx(22.5, rel=1e-3) and "warning" not in analysis
    assert analysis["gaps_s"] == [[pytest.approx(end_s, abs=0.01), pytest.approx(3600)]]
    assert analysis["duration_s"] == pytest.approx(3600 + end_s, abs=0.05)
    times_s = np.array(analysis["dense_frame_indices"]) / 22.5
    assert analysis["dense_times_s"] == pytest.approx(times_s + (times_s > end_s) * (3600 - end_s), abs=1e-3)
    first, second = analysis["events"]
    assert (first["start_s"], first["end_s"]) == (0, pytest.approx(end_s, abs=0.01))
    assert first["end_s"] - first["start_s"] + second["end_s"] - second["start_s"] < 2 * end_s + 0.1
    before = analyze_video(recording, model56, processor56, segment_s=(2.0, 1800.0), num_frames=4, max_new_tokens=1)
    assert before["segment_s"] == [2.0, pytest.approx(end_s, abs=0.01)] and before["dense_times_s"][-1] < end_s
    with pytest.raises(ValueError, match="stood still from 8.889 to 3600.000 seconds"):
        analyze_video(recording, model56, processor56, segment_s=(100.0, 200.0), max_new_tokens=1)


def test_a_time_lapse_has_no_gaps():
    assert find_gaps(np.arange(50) * 60.0, 3000.0) == []
    assert find_gaps([0.0, 2.0, 4.0, 24.1, 26.0], 28.0) == [(pytest.approx(6.0, abs=0.1), 24.1)]
    assert find_gaps([0.0, 0.04, 0.08, 5.0], 5.04) == find_gaps([7.0], 7.04) == []  # 4.92 seconds are a pause


def test_the_rate_is_that_of_the_frames(tmp_path):
    """Pauses are too short for gaps; the average is 6 frames a second."""
    ticks = [9 * i + 180 * (i // 10) for i in range(60)]
    video = open_video(write(tmp_path / "a.mp4", 60, ticks=ticks))
    assert video.fps == pytest.approx(10, rel=0.01) and video.gaps_s == []


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", num_frames=700)


def test_streaming_equals_one_call(model56, processor56, video):
    analysis = analyze_video(video, model56, processor56, prompt="Why?", max_new_tokens=6)
    inputs = processor56(videos=video, text="Why?", return_tensors="pt")
    output = model56.generate(**inputs, max_new_tokens=6, return_dict_in_generate=True)
    torch.testing.assert_close(torch.tensor(analysis["scores"]), output.anomaly_scores[0], atol=1e-6, rtol=0)
    assert analysis["sampled_frame_indices"] == output.frame_indices[0].tolist()
    new = output.sequences[0, inputs["input_ids"].shape[1] :]
    assert analysis["answer"] == processor56.decode(new, skip_special_tokens=True).strip()


def test_fields(model56, processor56, video):
    seen = []
    analysis = analyze_video(
        str(video), model56, processor56, max_new_tokens=2, on_progress=lambda done, total: seen.append((done, total))
    )
    assert list(analysis) == [
        "video", "fps", "num_frames", "duration_s", "dense_frame_indices", "dense_times_s", "scores", "events",
        "event_rule", "sampled_frame_indices", "sampled_times_s", "sampler", "prompt", "answer", "verdict", "model",
        "seconds",
    ]  # fmt: skip
    assert (analysis["video"], analysis["num_frames"]) == (str(video), 700)
    assert analysis["fps"] == pytest.approx(25) and analysis["duration_s"] == pytest.approx(28)
    assert analysis["dense_frame_indices"] == list(range(0, 700, 16)) and len(analysis["scores"]) == 44
    assert analysis["dense_times_s"] == pytest.approx([i / 25 for i in range(0, 700, 16)])
    times = [i / 25 for i in analysis["sampled_frame_indices"]]
    assert analysis["sampled_times_s"] == pytest.approx(times) and analysis["sampler"] == "ats"
    assert set(analysis["seconds"]) == {"decode", "encode", "score", "generate"}
    assert seen[-1] == (44, 44) and len(seen) > 1


def test_event_rule_of_the_configuration(model56, processor56, video, monkeypatch):
    scores = analyze_video(video, model56, processor56, max_new_tokens=1)["scores"]
    monkeypatch.setattr(model56.config, "event_low_threshold", 0.0)
    for threshold, number in ((min(scores), 1), (max(scores) + 1e-3, 0)):
        monkeypatch.setattr(model56.config, "event_threshold", threshold)
        events = analyze_video(video, model56, processor56, max_new_tokens=1)["events"]
        assert len(events) == number
    monkeypatch.setattr(model56.config, "event_threshold", 0.0)
    monkeypatch.setattr(model56.config, "event_min_length_s", 100.0)
    assert analyze_video(video, model56, processor56, max_new_tokens=1)["events"] == []


def test_warning_of_the_checkpoint_is_in_every_analysis(model56, processor56, video, monkeypatch):
    assert "warning" not in analyze_video(video, model56, processor56, max_new_tokens=1)
    monkeypatch.setattr(model56.config, "warning", "untrained")
    assert analyze_video(video, model56, processor56, max_new_tokens=1)["warning"] == "untrained"


def test_placeholders_in_a_question_are_refused(model56, processor56, video):
    with pytest.raises(ValueError, match="The question holds <video>"):
        analyze_video(video, model56, processor56, prompt="What is <video>?")


def test_past_the_budget_frames_are_read_again(model56, processor56, video, monkeypatch):
    expected = analyze_video(video, model56, processor56, max_new_tokens=4)
    monkeypatch.setattr(model56.config, "max_cached_frames", 16)
    analysis = analyze_video(video, model56, processor56, max_new_tokens=4)
    assert analysis["answer"] == expected["answer"]
    assert analysis["sampled_frame_indices"] == expected["sampled_frame_indices"]


def test_segment_of_a_file(model56, processor56, video):
    analysis = analyze_video(video, model56, processor56, segment_s=(4.0, None), num_frames=4, max_new_tokens=1)
    assert analysis["dense_frame_indices"] == list(range(100, 700, 16))
    assert min(analysis["sampled_times_s"]) >= 4.0 and analysis["segment_s"] == [4.0, 28.0]


def test_a_calm_video(checkpoint56, processor56):
    """Scores near zero, where the original raises TypeError."""
    model = HolmesVAUForConditionalGeneration.from_pretrained(checkpoint56)
    model.anomaly_scorer.classifier[2].bias.data.fill_(-99.0)
    calm = analyze_video(moving_square(600), model, processor56, fps=30, max_new_tokens=2)
    assert max(calm["scores"]) < 1e-3 and calm["events"] == []
    assert calm["sampled_frame_indices"][0] == 0 and calm["sampled_frame_indices"][-1] == 592


@pytest.mark.parametrize("length", [1, 3])
def test_a_tiny_video(model56, processor56, length):
    tiny = analyze_video(moving_square(length), model56, processor56, fps=30, max_new_tokens=2)
    assert len(tiny["scores"]) == 1 and len(tiny["sampled_frame_indices"]) == 12
    assert set(tiny["sampled_frame_indices"]) <= set(range(length)) and tiny["sampler"] == "middle"


def test_chat_keeps_the_conversation(model56, processor56, video):
    chat = VideoChat.open(video, model56, processor56, num_frames=4)
    first = chat.ask("What?", max_new_tokens=3)
    chat.ask("Why?", max_new_tokens=3)
    assert [message["role"] for message in chat.messages] == ["user", "assistant", "user", "assistant"]
    assert chat.messages[1]["content"][0]["text"] == first
    assert first == analyze_video(video, model56, processor56, "What?", num_frames=4, max_new_tokens=3)["answer"]


def test_model_method_is_the_same(model56, processor56, video):
    one = model56.analyze(video, processor56, max_new_tokens=2)
    two = analyze_video(video, model56, processor56, max_new_tokens=2)
    assert {**one, "seconds": 0} == {**two, "seconds": 0}
