"""A video that is asked about without being scored, on the command line and in its report; how attention is chosen."""

import json

import numpy as np
import pytest
import torch

from modeling_holmes_vau import analyze_video, cli
from modeling_holmes_vau.checkpoint.folder import CheckpointError
from modeling_holmes_vau.checkpoint.load import load_on_device
from modeling_holmes_vau.judgement_holmes_vau import compare_verdicts, describe_verdict
from modeling_holmes_vau.video_reader_holmes_vau import VideoReader
from tests.videos import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("unscored") / "street.mp4", num_frames=700)  # 28 s


@pytest.fixture
def analyze(checkpoint56, capsys):
    """Run `holmes-vau analyze` with the tiny checkpoint: exit status, stdout, stderr."""

    def run(*arguments):
        common = ["--model", str(checkpoint56), "--max-new-tokens", "3", "--device", "cpu"]
        status = cli.main(["analyze", *map(str, arguments), *common])
        return status, *capsys.readouterr()

    return run


def test_only_the_frames_that_are_shown_are_decoded(video, model56, processor56, monkeypatch):
    read, encoded, frames, encode = [], [], VideoReader.frames, type(model56).encode_frames
    monkeypatch.setattr(VideoReader, "frames", lambda self, indices: read.extend(indices) or frames(self, indices))
    monkeypatch.setattr(
        type(model56), "encode_frames", lambda self, frames: encoded.append(len(frames)) or encode(self, frames)
    )
    analysis = analyze_video(
        video, model56, processor56, num_frames=4, scored=False, granularity=["video"], max_new_tokens=3
    )
    assert read == analysis.sampled_frame_indices == [87, 262, 437, 611] and sum(encoded) == 4
    assert analysis.scores == analysis.dense_frame_indices == analysis.events == []
    assert analysis.verdict["scores"] is None and analysis.verdict["agree"] is None
    assert analysis.annotation["judgement"] and analysis.annotation["analysis"] is None
    read.clear()
    assert len(analyze_video(video, model56, processor56, num_frames=4, max_new_tokens=1).scores) == 44 == len(read)


@pytest.mark.parametrize("options", [{"granularity": ["clip"]}, {"event_threshold": 0.4}, {"sampler": "ats"}])
def test_what_needs_scores_is_refused_without_them(video, model56, processor56, options):
    with pytest.raises(ValueError, match="scores"):
        analyze_video(video, model56, processor56, scored=False, **options)


@pytest.mark.parametrize(
    "options", [("--threshold", "0.4"), ("--stride", "8"), ("--sampler", "ats"), ("--granularity", "video", "event")]
)
def test_the_command_line_refuses_it_before_anything_is_read(analyze, options):
    status, _, err = analyze("nowhere.mp4", "--no-scores", *options)
    assert status == 1 and err.startswith(f"error: --no-scores leaves out what {options[0]}")


def test_a_report_tells_that_nothing_was_scored(analyze, video, tmp_path):
    status, out, err = analyze(video, "--no-scores", "--sampler", "uniform", "--output", tmp_path)
    assert status == 0, err
    assert "scores   none" in out and "events   not looked for: nothing was scored" in out
    folder = tmp_path / "street"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Nothing was scored" in page and "Not looked for." in page and 'class="plot"' not in page
    written = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    assert written["scores"] == [] and written["options"]["no_scores"] is True
    assert written["options"]["granularity"] == ["video"]
    assert (folder / "thumbnail.jpg").stat().st_size > 500 and (folder / "timeline.png").stat().st_size > 5000
    assert "done before" in analyze(video, "--no-scores", "--sampler", "uniform", "--output", tmp_path, "--resume")[2]
    status, out, err = analyze(video, "--output", tmp_path)  # another folder, and an index of both
    assert status == 0 and json.loads((tmp_path / "street-2" / "analysis.json").read_text())["scores"]
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert index.index("strongest score") < index.index("not scored")
    assert "no_scores" not in json.loads((tmp_path / "street-2" / "analysis.json").read_text())["options"]


def test_the_verdict_of_what_was_not_scored():
    answered = compare_verdicts(None, "What happens here?", "A brawl breaks out.")
    assert answered == {"scores": None, "answer": "abnormal", "agree": None}
    assert describe_verdict(answered) == "abnormal by the answer; nothing was scored"
    assert describe_verdict(answered | {"answer": None}).startswith("no verdict is read from the answer")


def test_attention_is_chosen_and_scores_alike(checkpoint56, model56):
    clip = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 56, 56), "uint8"))
    mini, _ = load_on_device(None, "cpu", "auto", attention="sdpa")  # whose tower has no attention
    assert mini.config.text_config._attn_implementation == "sdpa"
    eager, _ = load_on_device(str(checkpoint56), "cpu", "auto", attention="eager")
    assert eager.config._attn_implementation == "eager" == eager.config.text_config._attn_implementation
    assert model56.config._attn_implementation == "sdpa"
    torch.testing.assert_close(eager.score_frames(clip), model56.score_frames(clip), atol=1e-5, rtol=0)


def test_attention_that_cannot_be_computed_here_is_refused_before_loading(monkeypatch):
    with pytest.raises(CheckpointError, match="flash_attention_2: needs a GPU of NVIDIA.*not cpu: pass sdpa"):
        load_on_device("/nowhere", "cpu", "auto", attention="flash_attention_2")
    for command in ("analyze", "chat"):
        parsed = cli.build_parser().parse_args([command, "a.mp4", "--attention", "eager"])
        assert parsed.attention == "eager"
    assert cli.build_parser().parse_args(["web"]).attention is None
