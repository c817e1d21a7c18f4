"""The paper's Figure A through the engine: the prompts of appendix A.2 are asked, and its annotation comes back."""

import json
import os
import re
from pathlib import Path

import pytest

from hivau70k_dataset.cli import main
from hivau70k_dataset.engine.formats import hivau
from hivau70k_dataset.engine.state import State
from hivau70k_dataset.engine.work import WorkClip, WorkEvent, WorkVideo
from hivau70k_dataset.reading import read_annotation_files
from tests.chat_server import chat_server, completion
from tests.engine_data import work_folder


@pytest.fixture(scope="module")
def paper():
    beside = Path(os.environ.get("HOLMES_VAU_DATA", "nowhere")).parent / "paper"
    texts = sorted(beside.glob("*.txt"))
    if not texts:
        pytest.skip("HOLMES_VAU_DATA names no folder beside which the text of the paper lies, paper/*.txt")
    return texts[0].read_text(encoding="utf-8")


def figure_a(paper: str) -> dict:
    """The JSON that Figure A prints, with numbered lines, arrows where they are broken, and a bracket missing."""
    block = next(block for block in re.findall(r"^```\n(.*?)^```", paper, re.M | re.S) if '"video_summary"' in block)
    text = re.sub(r"\s*\n\d+\s+↪\s*", " ", block)
    text = re.sub(r"^\d+ ", "", text, flags=re.M).strip()
    text = re.sub(r',\s*("video_summary":\s*".*?")\s*\]\s*\}', r"], \1}", text, flags=re.S)
    return json.loads(re.sub(r"\s*\}\s*\}\s*$", "}", text))


def filled(template: str, **words: str) -> str:
    for name, text in words.items():
        template = template.replace("{" + name.replace("_", " ") + "}", text)
    return template.replace("{video-level label}", "Explosion").replace(
        "There are (is no) abnormal", "There are abnormal"
    )


def template(paper: str, begin: str) -> str:
    """A prompt as the paper prints it, between quotation marks and over lines."""
    return " ".join(re.search(rf"'({begin}.*?)'\n", paper, re.S)[1].split())


def test_figure_a(paper, tmp_path):
    figure = figure_a(paper)
    assert figure["n_frames"] == 1940 and len(figure["event_summary"]) == 2 and figure["label"] == ["Explosion"]
    captions = figure["clip_captions"]
    events = tuple(
        WorkEvent(f"e{i}", *span, ("Explosion",), "given", tuple(map(WorkClip, *zip(*clips), texts)))
        for i, (span, clips, texts) in enumerate(zip(figure["events"], figure["clips"], captions))
    )
    video = WorkVideo(figure["video"], "v.mp4", "digest", 1940, 24.0, ("Explosion",), events)
    work = work_folder(tmp_path / "work", [video])
    asking = template(paper, "The dense caption"), template(paper, "Below is a summary")

    def joined(texts: list[str]) -> str:
        return " ".join(texts).rstrip(".")

    wanted = {filled(asking[0], clip_captions=joined(texts)): i for i, texts in enumerate(captions)}
    replies = [*figure["event_summary"], figure["video_summary"]]
    wanted[filled(asking[1], event_summaries=joined(figure["event_summary"]))] = 2

    def answer(asked, number):
        return 200, completion(replies[wanted[asked.body["messages"][0]["content"]]])

    with chat_server(answer) as (address, asked):
        run = ["annotate", "summarise", "--work", str(work.root), "--model", "llama", "--endpoint", address]
        assert main(run) == 0
        assert {request.body["messages"][0]["content"] for request in asked} == set(wanted)
    assert not [told for told in (State(work).video_summary(video),) if not told.is_there]
    assert main(["annotate", "instruct", "--work", str(work.root), "--unreviewed", "--conversations"]) == 0
    files = read_annotation_files(work.annotations)
    output = tmp_path / "mine_train.json"
    hivau.write(files.annotations, output, spelling="paper")
    (written,) = json.loads(output.read_text(encoding="utf-8"))
    assert {name: written[name] for name in figure} == figure
    # In turns, as Figures B to D.
    lines = {
        line["id"]: line for line in map(json.loads, (work.annotations / "instruction" / "mine_train.jsonl").open())
    }
    clip, event, whole = (lines[f"{video.video}{end}"] for end in ("_E0C2", "_E1", ""))
    assert [line["type"] for line in (clip, event, whole)] == ["clip", "event", "video"]
    assert event["video"] == f"mine/events/train/{video.video}_E1.mp4" and len(clip["conversations"]) == 2
    said = [turn["value"] for turn in event["conversations"][1::2]]
    assert said[0] == "The anomaly exists and its specific name is Explosion."
    assert said[1].startswith("The anomaly event is a series of visible explosions") and len(said) == 3
    assert said[2].startswith("The sudden and intense release of energy")
