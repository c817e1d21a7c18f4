"""The engine's review: flags, the server, the table, and people who decide at the same time."""

import http.client
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest

from hivau70k_dataset.engine.decisions import ACCEPTED, EDITED, PROPOSED, REJECTED, Decisions
from hivau70k_dataset.engine.flags import (
    flags_of_agreement,
    flags_of_judgement,
    flags_of_score,
    flags_of_span,
    flags_of_text,
    repeated,
)
from hivau70k_dataset.engine.review import read_table_decisions, write_table
from hivau70k_dataset.engine.review.changes import decide
from hivau70k_dataset.engine.review.items import list_items
from hivau70k_dataset.engine.review.server import open_server
from hivau70k_dataset.engine.state import State, Told
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import AnnotationError, SummaryParts
from tests.engine_data import work_folder, work_video


PARTS = SummaryParts("An Arson anomaly exists.", "A man in black lights a bin beside the gate.", "It is on purpose.")


# ---- flags ----------------------------------------------------------------------------------------------------------


def codes(flags) -> list[str]:
    return [flag.code for flag in flags]


@pytest.mark.parametrize(
    ("told", "is_caption", "wanted"),
    [
        (Told("A man in black walks by."), True, []),
        (Told(problem="not asked yet"), True, ["missing"]),
        (Told("Fire."), True, ["short"]),
        (Told("a b c d " * 40), True, ["long", "repetition"]),
        (Told("He walks by the car. He walks by the car. He walks by the car."), True, ["repetition"]),
        (Told("I'm sorry, but I can't help with that."), True, ["refusal"]),
        (Told("As an AI model I see no video here."), True, ["refusal"]),
        (Told("x", PARTS), False, []),
        (Told("x", replace(PARTS, description="Fire.")), False, ["short"]),
    ],
)
def test_flags_of_texts(told, is_caption, wanted):
    assert codes(flags_of_text(told, is_caption)) == wanted


def test_flags_of_what_contradicts():
    assert flags_of_judgement(PARTS, ["Arson"]) == []
    assert codes(flags_of_judgement(PARTS, [])) == ["contradicts"]
    assert codes(flags_of_judgement(replace(PARTS, judgement="No anomaly exists."), ["Arson"])) == ["contradicts"]
    assert codes(flags_of_judgement(PARTS, ["Riot"])) == ["class"]
    assert codes(flags_of_judgement(replace(PARTS, judgement="A dog runs."), [])) == ["unclear"]
    assert codes(flags_of_judgement(replace(PARTS, analysis=None), ["Arson"])) == ["part"]
    assert flags_of_judgement(SummaryParts("No anomaly exists.", "People walk."), []) == []
    assert flags_of_judgement(replace(PARTS, judgement="A Jaywalking anomaly exists."), ["Jaywalking"]) == []
    assert flags_of_agreement(PARTS.description, ["A man stands at a bin. He lights it near a gate."]) == []
    said = "Two dogs chase each other across green meadows beneath heavy rain clouds."
    assert codes(flags_of_agreement(said, ["A man stands at a bin.", "He lights it."])) == ["disagrees"]
    assert flags_of_agreement("Dogs.", ["A man stands at a bin."]) == []  # too short to tell
    assert codes(flags_of_span(1.0, 12.0, 10.0, 25.0)) == ["past_end"] and flags_of_span(1.0, 10.02, 10.0, 25.0) == []
    assert codes(flags_of_score(0.1, True)) == codes(flags_of_score(0.9, False)) == ["scorer"]
    assert flags_of_score(0.5, True) == flags_of_score(0.5, False) == flags_of_score(None, True) == []
    assert repeated("A man walks by the car and a man walks by the gate.") is None


def test_few_of_the_released_annotations_are_flagged(ucf_annotations):
    """What people have checked is not flagged wholesale: of its texts less than one in ten."""
    flagged, total = 0, 0
    for video in ucf_annotations:
        for event in video.events:
            captions = [clip.caption for clip in event.clips]
            texts = [flags_of_text(Told(caption), True) for caption in captions]
            parts = event.parts
            whole = flags_of_text(Told(event.summary, parts), False) + flags_of_agreement(parts.description, captions)
            for flags in (*texts, whole):
                flagged += bool(flags)
                total += 1
    assert total > 1000 and flagged / total < 0.1


@pytest.fixture(scope="module")
def ucf_annotations():
    data = os.environ.get("HOLMES_VAU_DATA")
    if not data or not (Path(data) / "hivau70k").is_dir():
        pytest.skip("HOLMES_VAU_DATA names no folder that holds hivau70k/")
    return read_annotation_files(Path(data) / "hivau70k").annotations


# ---- decisions ------------------------------------------------------------------------------------------------------


@pytest.fixture
def work(tmp_path):
    video = replace(work_video(1, ("Arson",)), times_s=(5.0, 25.0), scores=(0.1, 0.9))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "Arson1.mp4").write_bytes(bytes(range(256)) * 8)
    return work_folder(tmp_path / "work", [video, work_video(2)], tmp_path / "videos")


def test_items_are_worst_first_and_tell_why(work):
    items = {item.id: item for item in list_items(State(work))}
    assert len(items) == 2 * (1 + 2 + 4)
    low = items["Arson1/e0"]
    assert codes(low.flags) == ["missing", "scorer"] and low.weight == 10 and low.score == 0.1
    clip = items["Arson1/e0/0.000-6.000"]
    assert clip.texts == {"caption": "Person 1 does thing 0."} and clip.by == "given" and clip.flags == ()
    assert clip.status == PROPOSED and clip.rev == 0


def test_fields_are_checked(work):
    state = State(work)

    def refused(item: str, match: str, status: str = EDITED, **fields):
        with pytest.raises(AnnotationError, match=match):
            decide(state, item, 0, "ann", status, fields)

    refused("Arson1/e0", "expected 0 <= start < end <= 40.000", start_s=20.0)
    refused("Arson1/e0", "expected 0 <= start < end", end_s=50.0)
    refused("Arson1/e0", "expected seconds", end_s="soon")
    refused("Arson1/e0", "has no such field", caption="x")
    refused("Arson1", "has no such field", start_s=1.0)
    refused("Arson1", "expected a list of classes", labels=["", "x"])
    refused("Arson1", "expected a text", analysis=3)
    refused("Arson1", "there is no text to accept", ACCEPTED)
    refused("Arson9", "there is no item 'Arson9'")
    refused("Arson1/e9", "there is no item")
    assert state.decisions.rev == 0


def test_one_part_that_is_edited_keeps_the_others(work):
    state = State(work)
    texts = {"judgement": "Arson exists.", "description": "It burns.", "analysis": "Fire."}
    first = decide(state, "Arson1", 0, "ann", EDITED, texts)
    second = decide(state, "Arson1", first.rev, "ann", EDITED, {"description": "A bin burns."})
    assert second.fields == {**texts, "description": "A bin burns."}
    accepted = decide(state, "Arson1", second.rev, "bob", ACCEPTED)
    assert accepted.status == EDITED and accepted.fields == second.fields  # what a person wrote stays an edit
    none = decide(state, "Arson1", accepted.rev, "bob", EDITED, {"labels": ["Normal", " Riot ", "Riot"]})
    assert none.fields["labels"] == ["Riot"]


def _decide_much(path: str, who: str, count: int) -> None:
    decisions = Decisions(Path(path))
    for number in range(count):
        decisions.decide(f"{who}{number}", 0, who, REJECTED)


def test_two_processes_lose_nothing(tmp_path):
    path = tmp_path / "review" / "decisions.jsonl"
    context = multiprocessing.get_context("fork")
    people = [context.Process(target=_decide_much, args=(str(path), who, 40)) for who in ("ann", "bob")]
    for person in people:
        person.start()
    for person in people:
        person.join()
    found = Decisions(path).all
    assert {one.item for one in found} == {f"{who}{i}" for who in ("ann", "bob") for i in range(40)} and len(
        found
    ) == 80


# ---- the table ------------------------------------------------------------------------------------------------------


def change(path: Path, *pairs: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8-sig")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_bytes(text.encode("utf-8-sig"))


def test_a_table_comes_back_as_decisions(work, tmp_path):
    state, path = State(work), tmp_path / "review.csv"
    write_table(state, path)
    assert read_table_decisions(state, path, "ann") == ([], [])
    change(
        path,
        (
            "Normal2/e1/26.000-32.000,clip,26.000,32.000,,proposed",
            "Normal2/e1/26.000-32.000,clip,26.000,32.000,,Rejected",
        ),
        ("Person 2 does thing 0.", '"A dog, ""Rex"", runs."'),
        ("Arson1/e1,event,20.000,32.000,Arson", "Arson1/e1,event,0:21.5,32.000,Arson; Riot"),
    )
    taken, left = read_table_decisions(state, path, "ann")
    assert left == [] and {(one.item, one.status) for one in taken} == {
        ("Normal2/e1/26.000-32.000", REJECTED),
        ("Normal2/e0/0.000-6.000", EDITED),
        ("Arson1/e1", EDITED),
    }
    arson, normal = state.videos()
    assert (arson.events[1].start_s, arson.events[1].labels) == (21.5, ("Arson", "Riot"))
    assert state.caption(normal, normal.events[0], normal.events[0].clips[0]).text == 'A dog, "Rex", runs.'
    change(path, ("A dog, ", "A cat, "), ("0:21.5", "0:22.5"))
    taken, left = read_table_decisions(state, path, "bob")  # what ann has changed meanwhile is not overwritten
    assert taken == [] and len(left) == 2 and all("has changed since the table was written" in line for line in left)
    write_table(state, path)
    change(path, ("Normal2/e1,event,20.000,32.000", "Normal2/e1,event,33,32"), ("Arson1/e0,event", "Arson7/e0,event"))
    taken, left = read_table_decisions(state, path, "bob")
    assert taken == [] and sorted(line.split(": ", 2)[-1][:30] for line in left) == [
        "Normal2/e1: got 33.0 to 32.0 s",
        "there is no item 'Arson7/e0'",
    ]


# ---- the server -----------------------------------------------------------------------------------------------------


class Page:
    """Asks a server as a page does."""

    def __init__(self, address: str):
        self.host = address.removeprefix("http://")

    def ask(self, method: str, path: str, body: object = None, **headers: str):
        connection = http.client.HTTPConnection(self.host, timeout=10)
        sent = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, sent, {**kind, **headers})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        is_json = response.headers.get("Content-Type") == "application/json"
        return response.status, json.loads(content) if is_json else content, response.headers


@pytest.fixture
def page(work):
    with open_server(work) as address:
        yield Page(address)


def test_the_server_keeps_decisions_and_tells_the_others(page, work):
    status, found, _ = page.ask("GET", "/api/items")
    assert (
        status == 200 and [video["video"] for video in found["videos"]] == ["Arson1", "Normal2"] and found["rev"] == 0
    )
    item = found["videos"][0]["items"][2]
    asked = {"item": item["id"], "rev": 0, "who": "ann", "status": "accepted", "fields": {}, "about": item["digest"]}
    status, found, _ = page.ask("POST", "/api/decide", asked)
    assert status == 200 and found["decision"]["rev"] == 1 and found["videos"][0]["items"][2]["status"] == "accepted"
    status, found, _ = page.ask("POST", "/api/decide", {**asked, "who": "bob", "status": "rejected"})
    assert status == 409 and found["error"] == "ann has accepted this meanwhile" and found["latest"]["who"] == "ann"
    Decisions(work.decisions).decide("Normal2", 0, "carl", REJECTED)  # another process
    status, found, _ = page.ask("GET", "/api/changes?since=1")
    assert found["rev"] == 2 and [video["video"] for video in found["videos"]] == ["Normal2"]
    status, found, _ = page.ask("POST", "/api/undo", {"who": "ann"})
    assert found["decision"]["status"] == "proposed" and found["decision"]["undoes"] == 1
    status, found, _ = page.ask("POST", "/api/undo", {"who": "ann"})
    assert status == 200 and found["decision"] is None
    new = {"video": "Normal2", "start_s": 1.0, "end_s": 3.0, "labels": ["Riot"], "who": "ann"}
    status, found, _ = page.ask("POST", "/api/add", new)
    assert status == 200 and any(one["origin"] == "added" for one in found["videos"][0]["items"])
    assert [one.who for one in Decisions(work.decisions).all] == ["ann", "carl", "ann", "ann"]


def test_what_the_server_refuses(page):
    asked = {"item": "Arson1", "rev": 0, "who": "ann", "status": "rejected", "fields": {}, "about": ""}
    for changed, said in (
        ({"who": " "}, "expected the name"),
        ({"status": "fine"}, "expected one of proposed, accepted"),
        ({"fields": {"colour": 1}}, "has no such field"),
        ({"rev": "x"}, "rev: expected a number"),
        ({"item": 3}, "item: got 3"),
    ):
        status, found, _ = page.ask("POST", "/api/decide", {**asked, **changed})
        assert status == 400 and said in found["error"]
    assert page.ask("POST", "/api/decide", [1])[0] == 400
    assert page.ask("POST", "/api/other", {})[0] == 404
    assert page.ask("GET", "/other")[0] == 404
    # Pages of others, whatever name they have given this machine.
    assert page.ask("GET", "/api/items", Host="evil.example")[0] == 403
    assert page.ask("POST", "/api/decide", asked, Origin="http://evil.example")[0] == 403
    assert page.ask("POST", "/api/decide", asked, **{"Content-Type": "text/plain"})[0] == 403
    assert page.ask("POST", "/api/decide", asked, Origin=f"http://{page.host}")[0] == 200


def test_videos_in_parts(page):
    whole = bytes(range(256)) * 8
    status, content, headers = page.ask("GET", "/video/Arson1")
    assert status == 200 and content == whole and headers["Content-Type"] == "video/mp4"
    for asked, start, end in (("0-", 0, 2047), ("10-19", 10, 19), ("-5", 2043, 2047), ("2000-9999", 2000, 2047)):
        status, content, headers = page.ask("GET", "/video/Arson1", Range=f"bytes={asked}")
        assert status == 206 and content == whole[start : end + 1]
        assert headers["Content-Range"] == f"bytes {start}-{end}/2048"
    assert page.ask("GET", "/video/Arson1", Range="bytes=4000-")[0] == 416
    for name in ("Normal2", "..%2Fwork.json", "%2Fetc%2Fpasswd", "Arson1.mp4"):  # not there, or not of this folder
        assert page.ask("GET", f"/video/{name}")[0] == 404


def test_the_page_and_its_table(page, work):
    status, content, _ = page.ask("GET", "/")
    assert status == 200 and b"/* script */" not in content and b"/* style */" not in content
    assert b"http://" not in content.replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in content
    _, table, headers = page.ask("GET", "/api/table")
    assert "review.csv" in headers["Content-Disposition"]
    text = table.decode("utf-8-sig").replace("Person 2 does thing 0.", "A dog runs.")
    status, found, _ = page.ask("POST", "/api/import", {"who": "ann", "table": text})
    assert status == 200 and found["taken"] == 1 and found["left_out"] == []
    status, found, _ = page.ask("POST", "/api/import", {"who": "ann", "table": "a,b\n1,2"})
    assert status == 400 and "got the columns a, b" in found["error"]
