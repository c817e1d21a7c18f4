"""The engine: prompts word for word, and replies in whatever form models give them."""

import pytest

from hivau70k_dataset.engine.prompts import Prompts
from hivau70k_dataset.engine.replies import read_reply, summary_of
from hivau70k_dataset.schema import AnnotationError, SummaryParts


PARTS = SummaryParts("An Arson anomaly exists.", "A man lights a bin. It burns.", "He does it on purpose.")
JUDGED, TOLD, WHY = PARTS.judgement, PARTS.description, PARTS.analysis


@pytest.mark.parametrize(
    "reply",
    [
        f"1. {JUDGED}\n2. {TOLD}\n3. {WHY}",
        f"1. {JUDGED} 2. {TOLD} 3. {WHY}",
        f"Sure! Here is the response:\n\n1. {JUDGED}\n\n2. {TOLD}\n\n3. {WHY}\n",
        f"1) {JUDGED}\n2) {TOLD}\n3) {WHY}",
        f"(1) {JUDGED}\n(2) {TOLD}\n(3) {WHY}",
        f"**1.** {JUDGED}\n**2.** {TOLD}\n**3.** {WHY}",
        f"**1. Judgement:** {JUDGED}\n**2. Description:** {TOLD}\n**3. Analysis:** {WHY}",
        f"1. **Whether the anomaly exists and the specific name of the anomaly:** {JUDGED}\n"
        f"2. **A summary of the anomaly events:** {TOLD}\n3. **Brief explanation of the basis for judging:** {WHY}",
        f"1. **Judgment**: {JUDGED}\n2. **Summary**: {TOLD}\n3. **Basis**: {WHY}",
        f"### 1. Judgement\n{JUDGED}\n\n### 2. Summary of the events\n{TOLD}\n\n### 3. Analysis\n{WHY}",
        f"## Judgement\n{JUDGED}\n## Description\n{TOLD}\n## Analysis\n{WHY}",
        f"**Judgement:** {JUDGED}\n\n**Description:** {TOLD}\n\n**Analysis:** {WHY}",
        f"Judgement: {JUDGED}\nDescription: {TOLD}\nAnalysis: {WHY}",
        f"Part 1: {JUDGED}\nPart 2: {TOLD}\nPart 3: {WHY}",
        f"- 1. {JUDGED}\n- 2. {TOLD}\n- 3. {WHY}",
        f'{{"judgement": "{JUDGED}", "description": "{TOLD}", "analysis": "{WHY}"}}',
        f'```json\n{{"judgment": "{JUDGED}", "summary": "{TOLD}", "basis": "{WHY}"}}\n```',
        f'Here it is: {{"judgement": "{JUDGED}",\n "description": "{TOLD}",\n "analysis": "{WHY}"}} Done.',
        f"1. {JUDGED}\r\n2. {TOLD}\r\n3. {WHY}\r\n",
    ],
)
def test_three_parts_are_read_in_any_dress(reply):
    assert read_reply(reply, abnormal=True) == PARTS


def test_prose_as_the_release_has_it():
    prose = (
        "The anomaly exists, specifically an Arson anomaly. A man lights a bin. The basis for judging this anomaly is "
    )
    parts = read_reply(f"{prose}the intent.", abnormal=True)
    assert parts == SummaryParts(
        "The anomaly exists, specifically an Arson anomaly.", "A man lights a bin", "The intent."
    )
    calm = read_reply("No anomaly exists in the video. People walk by.", abnormal=False)
    assert calm == SummaryParts("No anomaly exists in the video.", "People walk by.")


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I'm sorry, but I can't help with that.",
        "A man lights a bin.",
        "1. An Arson anomaly exists.",
        "1. An Arson anomaly exists.\n2. A man lights a bin.",  # an abnormal one has an analysis
        "1. An Arson anomaly exists.\n2.\n3. He does it on purpose.",
        '{"judgement": "An Arson anomaly exists."}',
        "In 1.5 seconds 2.3 metres are passed.",
    ],
)
def test_what_cannot_be_told_apart_is_not_guessed(reply):
    assert read_reply(reply, abnormal=True) is None


def test_numbers_in_a_part_are_no_parts():
    reply = "1. Fighting exists.\n2. At 3. Street 2 men fight for 1.5 s.\n3. They hit: 2. times."
    parts = read_reply(reply, abnormal=True)
    assert parts.judgement == "Fighting exists." and parts.description.startswith("At 3. Street")


def test_a_normal_segment_has_no_analysis():
    reply = "1. No anomaly exists.\n2. People walk.\n3. Nothing unusual is seen."
    assert read_reply(reply, abnormal=False) == SummaryParts("No anomaly exists.", "People walk.")
    assert summary_of(SummaryParts("No anomaly exists.", "People walk")) == "No anomaly exists. People walk."


# ---- prompts --------------------------------------------------------------------------------------------------------

EVENT = (
    "The dense caption of the video is: A bin burns. People run. There are abnormal events (Arson) in the video. Your "
    "response should include the following three parts: 1. Whether the anomaly exists and the specific name of the "
    "anomaly. 2. A summary of the anomaly events. 3. Brief explanation of the basis for judging the anomaly."
)
VIDEO = (
    "Below is a summary of all the events in the video: It burns. It is put out. There is no abnormal events in the "
    "video. Your response should include the following three parts: 1. Whether the anomaly exists and the specific "
    "name of the anomaly. 2. Detailed description of the video anomaly event from start to end. 3. Brief analysis of "
    "the basis for judging the anomaly."
)


def test_prompts_are_those_of_the_paper():
    prompts = Prompts.read()
    assert prompts.caption == (
        "Please provide a short and brief description of the video clip, focusing on the main subjects and their "
        "actions."
    )
    assert prompts.event(["A bin burns.", "People\n run."], ["Arson"]) == EVENT
    assert prompts.video(["It burns.", "It is put out."], []) == VIDEO
    assert "(Arson, Riot) in the video" in prompts.video(["It burns."], ["Arson", "Riot"])


def test_prompts_can_be_replaced(tmp_path):
    (tmp_path / "event.txt").write_text("Captions: {clip captions}. {abnormal events}. Be brief.\n")
    own = Prompts.read(tmp_path)
    assert own.event(["A."], []) == "Captions: A. There is no abnormal events. Be brief."
    assert own.caption == Prompts.read().caption
    (tmp_path / "video.txt").write_text("Say something.")
    with pytest.raises(AnnotationError, match=r"video.txt: lacks \{event summaries\}"):
        Prompts.read(tmp_path)
    with pytest.raises(AnnotationError, match="no such folder"):
        Prompts.read(tmp_path / "none")
