"""A file, a span of it and a stream go one way."""

import numpy as np
import pytest
import torch

from modeling_holmes_vau import FrameRule, VideoChat, VideoEncoder, VideoSession, analyze_video
from modeling_holmes_vau.frame_rule_holmes_vau import middle_frame_indices
from modeling_holmes_vau.video_processing_holmes_vau import FrameChunk, FrameStream
from tests.passes import passes_of
from tests.videos import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("session") / "clip.mp4", num_frames=700)  # 28 s


@pytest.fixture(scope="module")
def session(video, model56, processor56):
    return VideoSession(video, model56, processor56, num_frames=4)


def as_stream(chunks, sizes):
    """The frames of chunks, parted otherwise."""
    parts = [torch.cat([getattr(chunk, name) for chunk in chunks]) for name in FrameChunk.__dataclass_fields__]
    return [FrameChunk(*part) for part in zip(*(values.split(sizes) for values in parts))]


def test_however_frames_come_they_are_the_same_video(session, model56, processor56):
    """As from a camera, one frame at a time, with nothing to read again; scores are there at any time."""
    chunks = list(FrameStream(session.reader, session.plan.frame_indices, processor56.image_size))
    live = VideoEncoder(model56)
    for chunk in as_stream(chunks, 1):
        live.push(chunk)
        if len(live.dense_times_s) == 10:
            assert torch.equal(live.scores(), model56.score_features(live.class_tokens))
    torch.testing.assert_close(live.scores(), session.scores, atol=1e-6, rtol=0)
    assert live.dense_times_s == session.encoder.dense_times_s == [i / 25 for i in range(0, 700, 16)]
    frames = live.chosen(session.rule, 700)
    assert frames == session.encoded().frame_indices.tolist()
    torch.testing.assert_close(live.features(frames), session.encoded().image_features, atol=1e-5, rtol=1e-4)


def test_a_stream_that_cannot_seek_shows_the_nearest_frames_that_came(session, model56, processor56):
    live = VideoEncoder(model56)
    for chunk in FrameStream(session.reader, list(range(0, 700, 16)), processor56.image_size):
        live.push(chunk)
    middle = session.rule.choose(50, 100)
    assert live.chosen(session.rule, 50, 100) == [int(16 * np.round(index / 16)) for index in middle]
    assert live.chosen(session.rule, 4, 101) == [96] * 4
    with pytest.raises(ValueError, match=r"\[3\] were not pushed"):
        live.features([3])


@pytest.mark.parametrize("span_s", [(4.0, 20.0), (10.0, 12.0), (10.001, 10.002)])
def test_a_span_is_asked_about_without_decoding_all_again(session, span_s, model56, processor56):
    assert len(session.scores) == 44  # all is read and scored
    with passes_of(model56.anomaly_scorer) as scored:
        encoded = session.encoded(span_s)
    first, stop = (int(np.ceil(round(25 * time_s, 6))) for time_s in span_s)
    assert len(encoded.frame_indices) == 4 and not scored
    if stop > first:
        assert ((encoded.frame_indices >= first) & (encoded.frame_indices < stop)).all()
    dense = [i for i in range(0, 700, 16) if first <= i < stop]
    scores = session.scores[[i // 16 for i in dense]]
    if stop - first > 64:
        assert encoded.frame_indices.tolist() == session.rule.choose(stop - first, first, scores, dense)
    else:
        assert len(set(encoded.frame_indices.tolist()) - set(dense)) > 0 or stop == first  # read for it
    features = torch.cat([model56.encode_frames(session.stream.read([i]))[:, 1:] for i in encoded.frame_indices])
    torch.testing.assert_close(encoded.image_features, model56.project_frames(features), atol=1e-5, rtol=1e-4)
    chat = session.chat(span_s)
    assert chat.ask("What?", max_new_tokens=2) == VideoChat(encoded, model56, processor56).ask(
        "What?", max_new_tokens=2
    )


def test_spans_are_within_what_was_read(video, model56, processor56):
    session = VideoSession(video, model56, processor56, num_frames=2, segment_s=(4.0, 12.0))
    assert session.encoded((4.0, 6.0)).frame_indices.tolist() == FrameRule(2, 16).choose(50, 100, torch.zeros(4))
    for span_s in ((3.0, 6.0), (10.0, 13.0)):
        with pytest.raises(ValueError, match=r"is not within what was read, \(4.0, 12.0\)"):
            session.encoded(span_s)


def test_a_file_is_indexed_once(video, model56, processor56, monkeypatch):
    from modeling_holmes_vau import video_reader_holmes_vau as reading

    scans, scan = [], reading.scan_packets
    monkeypatch.setattr(reading, "scan_packets", lambda *args: scans.append(args) or scan(*args))
    session = VideoSession(video, model56, processor56, num_frames=2)
    session.chat((1.0, 2.0)).ask("What?", max_new_tokens=1)
    session.reader.read(session.encoded((5.0, 6.0)).frame_indices.tolist())
    analyze_video(session.reader, model56, processor56, num_frames=2, max_new_tokens=1)
    assert len(scans) == 1


def test_a_conversation_needs_an_encoded_video(model56, processor56):
    with pytest.raises(TypeError, match="street.mp4: .*VideoChat.open"):
        VideoChat("street.mp4", model56, processor56)


def test_without_scores_only_the_shown_frames_are_encoded(video, model56, processor56):
    with passes_of(model56.model.vision_tower) as seen, passes_of(model56.anomaly_scorer) as scored:
        blind = VideoSession(video, model56, processor56, num_frames=4, scored=False)
        encoded = blind.encoded()
    assert sum(len(one["pixel_values"]) for one in seen) == 4 and not scored
    assert encoded.frame_indices.tolist() == blind.plan.shown == middle_frame_indices(700, 4)
    assert len(encoded.anomaly_scores) == len(encoded.dense_frame_indices) == 0
    assert blind.events() == [] and blind.scores.shape == (0,) and blind.sampler == "middle"
    features = model56.project_frames(model56.encode_frames(blind.stream.read(blind.plan.shown))[:, 1:])
    torch.testing.assert_close(encoded.image_features, features, atol=1e-5, rtol=1e-4)
    assert blind.encoded((4.0, 20.0)).frame_indices.tolist() == middle_frame_indices(400, 4, 100)
    with pytest.raises(ValueError, match="'top_k' chooses by scores"):
        VideoSession(video, model56, processor56, sampler="top_k", scored=False)
