"""What users of transformers pass to a pipeline: lists, tuples, generators, columns; one bad file among them."""

import pickle
from dataclasses import replace

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from modeling_holmes_vau import Analysis
from modeling_holmes_vau.pipeline_holmes_vau import VideoAnomalyUnderstandingPipeline, analyze_video
from tests.videos import moving_square, write_video


@pytest.fixture(scope="module")
def analyze(model56, processor56):
    return VideoAnomalyUnderstandingPipeline(model=model56, processor=processor56, max_new_tokens=2, num_frames=2)


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> list[str]:
    """A video, a file that is none, another video."""
    folder = tmp_path_factory.mktemp("videos")
    for name, length in (("a.mp4", 20), ("c.mp4", 40)):
        write_video(folder / name, frames=moving_square(length))
    (folder / "b.mp4").write_bytes(b"no video")
    return [str(folder / name) for name in ("a.mp4", "b.mp4", "c.mp4")]


SEVERAL = {
    "list": (list, {}),
    "list in batches": (list, {"batch_size": 2}),
    "list with workers": (list, {"num_workers": 2}),
    "tuple": (tuple, {}),
    "array of texts": (np.array, {}),
    "generator": (iter, {}),
    "column": (lambda paths: datasets.Dataset.from_dict({"path": paths})["path"], {}),
    "column of videos": (
        lambda paths: datasets.Dataset.from_dict({"v": paths}).cast_column("v", datasets.Video(decode=False))["v"],
        {},
    ),
}


@pytest.mark.parametrize(("make", "options"), SEVERAL.values(), ids=SEVERAL)
def test_several_videos_one_of_them_bad(analyze, paths, make, options):
    first, bad, last = analyze(make(paths), **options)
    assert [first["video"], bad["video"], last["video"]] == paths
    assert (first["num_frames"], last["num_frames"]) == (20, 40) and first["answer"] == analyze(paths[0])["answer"]
    assert set(bad) == {"video", "error"} and "b.mp4: not a video" in bad["error"] and "\n" not in bad["error"]


def test_a_generator_is_read_as_results_are_asked_for(analyze, paths):
    taken = []

    def videos():
        for path in paths:
            taken.append(path)
            yield path

    results = analyze(videos())
    assert taken == [] and next(results)["video"] == paths[0] and taken == paths[:1]


def test_one_bad_video_alone_is_an_error(analyze, paths):
    with pytest.raises(ValueError, match="b.mp4: not a video"):
        analyze(paths[1])
    assert analyze([]) == []


@pytest.mark.parametrize(
    "wrong", [None, 3, b"a.mp4", Image.new("RGB", (4, 4))], ids=lambda wrong: type(wrong).__name__
)
def test_what_is_no_video_is_one_line(analyze, wrong):
    with pytest.raises(TypeError, match=f"must be a path, frames, or several of them, got {type(wrong).__name__}"):
        analyze(wrong)


@pytest.mark.parametrize("kind", ["array", "tensor", "arrays", "pictures"])
def test_frames_in_memory_are_one_video_and_several_are_several(analyze, kind):
    frames = moving_square(20)
    make = {
        "array": lambda x: x,
        "tensor": torch.from_numpy,
        "arrays": list,
        "pictures": lambda x: [Image.fromarray(frame) for frame in x],
    }[kind]
    one = analyze(make(frames), fps=10.0)
    assert (one["num_frames"], one["duration_s"]) == (20, 2.0)
    two = analyze([make(frames), make(frames[:8])], fps=10.0)
    assert [analysis["num_frames"] for analysis in two] == [20, 8] and two[0]["scores"] == one["scores"]


def test_question_and_prompt_are_one(analyze, paths, model56, processor56):
    said = [analyze(paths[0], **{word: "What is this?"}) for word in ("question", "prompt")]
    assert said[0]["prompt"] == said[1]["prompt"] == "What is this?" and said[0]["answer"] == said[1]["answer"]
    with pytest.raises(ValueError, match="two words for one thing"):
        analyze(paths[0], question="a", prompt="b")
    asked = VideoAnomalyUnderstandingPipeline(model=model56, processor=processor56, question="Who?", max_new_tokens=2)
    assert asked(paths[0])["prompt"] == "Who?" and asked(paths[0], prompt="Why?")["prompt"] == "Why?"
    plain = analyze_video(paths[0], model56, processor56, question="Who?", max_new_tokens=2)
    assert plain["prompt"] == "Who?"


def test_what_comes_out_is_an_analysis(analyze, paths, model56, processor56):
    """With its attributes, and of the one type that is written, read and shown; it may be copied, changed and kept."""
    analysis = analyze(paths[2], granularity=["video"])
    assert type(analysis) is Analysis and analysis.annotation["video"] == "c" and analysis["video"] == paths[2]
    assert replace(analysis, warning="dark").warning == "dark" and pickle.loads(pickle.dumps(analysis)) == analysis
    expected = analyze_video(paths[2], model56, processor56, max_new_tokens=2, num_frames=2, granularity=["video"])
    assert replace(analysis, seconds={}) == replace(expected, seconds={})
