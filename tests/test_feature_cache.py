"""Features on disk: made once, of this very video and model, or refused."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save

from hivau70k_dataset.schema import Event, VideoAnnotation
from modeling_holmes_vau import VideoReadError
from modeling_holmes_vau.base.errors import RunError
from tests.numbered_videos import write
from tests.videos import write_video
from training.feature_cache import FeatureCache, StaleFeaturesError
from training.scorer_data import label_frames


NAME = "mine/videos/train/a.mp4"


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "a.mp4", num_frames=70)


@pytest.fixture
def cache(tmp_path, model56, processor56):
    return FeatureCache(tmp_path / "features", model56, processor56)


def test_features_are_the_class_tokens_the_scorer_sees(cache, video, model56, processor56):
    assert cache.extract(NAME, video) is True
    loaded = cache.load(NAME)
    assert (loaded.num_frames, loaded.fps, len(loaded.features)) == (70, 25.0, 5)
    inputs = processor56(videos=str(video), text="?", return_tensors="pt")
    dense = inputs["pixel_values_videos"][inputs["video_dense_mask"]]
    with torch.no_grad():
        expected = model56.encode_frames(dense)[:, 0]
    torch.testing.assert_close(loaded.features, expected, atol=1e-5, rtol=1e-5)


def test_times_are_kept_where_frame_numbers_are_no_clock(cache, video, tmp_path):
    cache.extract(NAME, video)
    assert cache.load(NAME).times_s is None
    ticks = [*range(0, 160, 4)] + [*range(324_000, 324_160, 4)]  # stands still for an hour
    cache.extract("mine/videos/train/gap.mp4", write(tmp_path / "gap.mp4", 80, ticks=ticks))
    loaded = cache.load("mine/videos/train/gap.mp4")
    assert loaded.times_s.shape == (80,) and loaded.times_s[40] == 3600 and loaded.fps == pytest.approx(22.5)
    event = Event(3600.5, 3601.0, (), "Fire")
    entry = VideoAnnotation("gap", "mine", "train", 80, loaded.fps, ("Fire",), (event,), "Fire")
    labels = label_frames(entry, loaded, "frame")
    first, stop = (loaded.times_s < time_s for time_s in (3600.5, 3601.0))
    assert labels.nonzero()[0].tolist() == list(range(int(first.sum()), int(stop.sum()))) and labels.sum() == 11


def test_what_is_there_is_not_made_again(cache, video, monkeypatch):
    cache.extract(NAME, video)
    before = os.stat(cache.path(NAME)).st_mtime_ns
    assert cache.extract(NAME, video) is False
    os.utime(video, (1, 1))  # copied anew: the same content
    assert cache.extract(NAME, video) is False
    assert os.stat(cache.path(NAME)).st_mtime_ns == before


def test_features_of_another_video_are_refused(cache, video):
    cache.extract(NAME, video)
    write_video(video, num_frames=71)
    with pytest.raises(StaleFeaturesError, match="was made of another file than"):
        cache.extract(NAME, video)


def test_features_of_another_model_or_preparation_are_refused(cache, model56, processor56, monkeypatch):
    monkeypatch.setattr(processor56, "frame_stride", 8)
    with pytest.raises(RunError, match="holds features made with frame_stride 16, now asked for with frame_stride 8"):
        FeatureCache(cache.folder, model56, processor56)
    monkeypatch.undo()
    weight = model56.model.vision_tower.embeddings.cls_token
    monkeypatch.setattr(weight, "data", weight.data + 1)
    with pytest.raises(RunError, match="made with vision_tower"):
        FeatureCache(cache.folder, model56, processor56)
    settings = json.loads((cache.folder / "settings.json").read_text())
    assert settings["feature_size"] == 64 and settings["frame_stride"] == 16


@pytest.mark.parametrize("content", ["", '{"format"', "null", "[1]"])
def test_a_damaged_folder_of_features_is_named(cache, content):
    (cache.folder / "settings.json").write_text(content)
    with pytest.raises(RunError, match="settings.json is damaged"):
        FeatureCache(cache.folder, cache.model, cache.processor)


def test_damaged_features_are_refused(cache, video):
    cache.extract(NAME, video)
    whole = cache.path(NAME).read_bytes()
    cache.path(NAME).write_bytes(whole[:-8])
    with pytest.raises(StaleFeaturesError, match="is damaged"):
        cache.load(NAME)
    metadata = {"num_frames": "70", "fps": "25.0"}
    for features in (torch.zeros(4, 64), torch.full((5, 64), torch.nan)):
        cache.path(NAME).write_bytes(save({"features": features}, metadata))
        with pytest.raises(StaleFeaturesError, match=r"expected finite \(5, 64\)"):
            cache.load(NAME)
    with pytest.raises(FileNotFoundError, match="Extract the features"):
        cache.load("mine/videos/train/b.mp4")


def test_processes_share_the_work_and_unreadable_videos_are_named(cache, tmp_path):
    videos = []
    for i in range(5):
        path = write_video(tmp_path / f"{i}.mp4", num_frames=20) if i != 3 else tmp_path / "3.mp4"
        path.touch()
        videos.append((f"mine/videos/train/{i}.mp4", path))
    assert cache.extract_all(videos, 0, 2) == {}
    assert sorted(path.stem for path in (cache.folder / "mine/videos/train").iterdir()) == ["0", "2", "4"]
    problems = cache.extract_all(videos, 1, 2)
    assert list(problems) == ["mine/videos/train/3.mp4"] and "3.mp4" in problems["mine/videos/train/3.mp4"]
    assert sorted(path.stem for path in (cache.folder / "mine/videos/train").iterdir()) == ["0", "1", "2", "4"]
    with pytest.raises(VideoReadError):
        cache.extract(*videos[3])


def test_files_are_plain_safetensors(cache, video):
    cache.extract(NAME, video)
    assert load_file(cache.path(NAME))["features"].dtype == torch.float32
