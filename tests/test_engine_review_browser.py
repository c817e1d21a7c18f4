"""The review page in a browser: everything by keys, kept at once, and two people at a time."""

import json
from dataclasses import replace

import pytest

from hivau70k_dataset.engine.decisions import Decisions
from hivau70k_dataset.engine.review.server import open_server
from hivau70k_dataset.engine.review.table import write_table
from hivau70k_dataset.engine.state import State
from tests.browser import Browser, needs_chromium
from tests.engine_data import work_folder, work_video
from tests.videos import moving_square, write_video


pytestmark = needs_chromium

PARTS = {"judgement": "An Arson anomaly exists.", "description": "Things burn near a gate.", "analysis": "On purpose."}


@pytest.fixture
def work(tmp_path):
    """Two videos of 40 s at 25 frames a second, the first abnormal and scored."""
    folder = tmp_path / "videos"
    folder.mkdir()
    first = work_video(1, ("Arson",))
    events = tuple(replace(event, summary="x", parts=PARTS) for event in first.events)
    times = tuple(float(time) for time in range(40))
    first = replace(first, events=events, times_s=times, scores=tuple(0.9 if time < 12 else 0.2 for time in times))
    second = replace(work_video(2), summary="y", parts={**PARTS, "judgement": "No anomaly exists.", "analysis": None})
    for video in (first, second):
        write_video(folder / f"{video.video}.mp4", frames=moving_square(1000, seed=1))
    return work_folder(tmp_path / "work", [replace(first, summary="z", parts=PARTS), second], folder)


def key(browser: Browser, name: str, **held: bool) -> None:
    """Press a key on the page, wherever the focus is."""
    options = json.dumps({"key": name, "bubbles": True, "cancelable": True, **held})
    browser.run(f"(document.activeElement || document.body).dispatchEvent(new KeyboardEvent('keydown', {options})); 1")


def settled(browser: Browser) -> None:
    """Wait until what was decided is kept."""
    browser.run("(async () => { await S.busy; await S.busy; })()")


def journal(work) -> list[tuple[str, str, str]]:
    return [(one.item, one.status, one.who) for one in Decisions(work.decisions).all]


def open_page(browser: Browser, address: str, who: str = "ann", width: int = 1280) -> None:
    browser.open(address, width=width)
    browser.run(f"localStorage.setItem('reviewer', '{who}')")
    browser.open(address, width=width)
    browser.wait("S.selected && document.querySelectorAll('#list li').length")
    browser.run("$('show').value = 'all'; draw(); 1")


def choose(browser: Browser, item: str) -> None:
    browser.run(f"select({json.dumps(item)}); 1")
    browser.wait("$('player').readyState >= 2")


def test_a_review_by_keys(work):
    with open_server(work) as address, Browser() as browser:
        open_page(browser, address)
        choose(browser, "Arson1/e1")
        browser.wait("!$('player').paused && $('player').currentTime > 20")  # it plays by itself, from its start
        key(browser, "[")  # the start is set while it plays
        settled(browser)
        start = browser.run("current().start_s")
        assert 20.0 < start < 32.0 and browser.run("S.edge") == "start_s"
        key(browser, "ArrowRight", shiftKey=True)
        settled(browser)
        assert browser.run("current().start_s") == pytest.approx(start + 0.04, abs=0.0011)
        key(browser, " ")
        browser.run("$('player').pause(); $('player').currentTime = 30.0; 1")
        browser.wait("Math.abs($('player').currentTime - 30) < 0.01")
        key(browser, ".")
        browser.wait("Math.abs($('player').currentTime - 30.04) < 0.01")
        key(browser, "]")
        settled(browser)
        assert browser.run("current().end_s") == pytest.approx(30.04, abs=0.002)
        key(browser, "3")
        assert browser.run("$('player').playbackRate") == 2
        key(browser, "e")
        assert browser.run("document.activeElement.dataset.field") == "judgement"
        browser.run("document.activeElement.value = 'An Arson anomaly takes place.'; 1")
        key(browser, "a")  # writes, decides nothing
        key(browser, "Enter", ctrlKey=True)
        settled(browser)
        assert browser.run("current().texts.judgement") == "An Arson anomaly takes place."
        assert browser.run("current().texts.description") == PARTS["description"]
        key(browser, "e")
        browser.run("document.activeElement.value = 'nonsense'; 1")
        key(browser, "Escape")
        settled(browser)
        assert [one[:2] for one in journal(work)] == [("Arson1/e1", "edited")] * 4
        browser.open(address)  # a reload loses nothing
        browser.wait("S.selected")
        assert (
            browser.run("items().find((one) => one.id === 'Arson1/e1').texts.judgement")
            == "An Arson anomaly takes place."
        )
        browser.run("$('show').value = 'all'; draw(); 1")
        choose(browser, "Normal2")
        key(browser, "a")
        settled(browser)
        assert browser.run("S.selected") != "Normal2"  # and goes on
        choose(browser, "Normal2/e0")
        key(browser, "x")
        settled(browser)
        key(browser, "z")
        settled(browser)
        assert browser.run("S.selected") == "Normal2/e0" and browser.run("current().status") == "proposed"
        assert journal(work)[4:] == [
            ("Normal2", "accepted", "ann"),
            ("Normal2/e0", "rejected", "ann"),
            ("Normal2/e0", "proposed", "ann"),
        ]
        before = browser.run("S.selected")
        key(browser, "j")
        assert browser.run("S.selected") != before
        key(browser, "k")
        assert browser.run("S.selected") == before
        key(browser, "?")
        assert browser.run("$('help').open && $('keys').children.length") > 30
        browser.run("$('help').close(); 1")
        assert browser.complaints() == []


def test_new_events_whole_videos_and_tables(work, tmp_path):
    with open_server(work) as address, Browser() as browser:
        open_page(browser, address, width=800)
        choose(browser, "Arson1/e0")
        browser.run("$('player').pause(); $('player').currentTime = 34.0; 1")
        browser.wait("Math.abs($('player').currentTime - 34) < 0.01")
        key(browser, "n")
        settled(browser)
        added = browser.run("current()")
        assert added["origin"] == "added" and (added["start_s"], added["end_s"]) == (34.0, 39.0)
        assert added["labels"] == ["Arson"] and added["id"].startswith("Arson1/e+")
        key(browser, "l")
        browser.run("document.activeElement.value = 'Riot, Arson'; 1")
        key(browser, "Enter")
        settled(browser)
        assert browser.run("current().labels") == ["Riot", "Arson"]
        choose(browser, "Normal2/e1")
        key(browser, "A")
        settled(browser)
        browser.wait(
            "videoOf(current()).items.filter(isDone).length === 5"
        )  # a video and its clips; events have no text
        choose(browser, "Arson1/e0")
        # An edge is drawn to another time.
        box = browser.run(
            "(() => { const r = $('timeline').getBoundingClientRect(); return [r.left, r.top, r.width]; })()"
        )
        at = box[0] + box[2] * 12 / 40
        for kind, x in (("mousePressed", at), ("mouseMoved", at + box[2] / 40), ("mouseReleased", at + box[2] / 40)):
            browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=box[1] + 20, button="left", clickCount=1)
        settled(browser)
        assert browser.run("current().end_s") == pytest.approx(13.0, abs=0.2)
        table = tmp_path / "table.csv"
        write_table(State(work), table)
        text = table.read_text(encoding="utf-8-sig").replace("Person 1 does thing 0.", "A bin burns.")
        browser.run(f"readTable(new File([{json.dumps(text)}], 'table.csv'))")
        assert any(item.endswith("0.000-6.000") and status == "edited" for item, status, _ in journal(work))
        assert "1 decisions from table.csv" in browser.run("$('message').textContent")
        assert browser.run("document.documentElement.scrollWidth") <= 800
        assert browser.complaints() == []


def test_two_people_at_once(work):
    with open_server(work) as address, Browser() as one, Browser() as other:
        open_page(one, address, "ann")
        open_page(other, address, "bob")
        for browser in (one, other):
            choose(browser, "Arson1")
        other.run("clearInterval(1); for (let i = 0; i < 99; i++) clearInterval(i); 1")  # it does not look by itself
        key(one, "a")
        settled(one)
        key(other, "x")
        settled(other)
        assert "ann has accepted this meanwhile: look at it again" in other.run("$('message').textContent")
        assert other.run("items().find((one) => one.id === 'Arson1').status") == "accepted"
        choose(other, "Normal2")
        key(other, "x")
        settled(other)
        one.wait("items().find((one) => one.id === 'Normal2').status === 'rejected'")  # without a reload
        assert journal(work) == [("Arson1", "accepted", "ann"), ("Normal2", "rejected", "bob")]


def test_a_name_is_asked_for_once(work):
    with open_server(work) as address, Browser() as browser:
        browser.open(address)
        browser.wait("S.selected")
        choose(browser, "Arson1")
        key(browser, "a")
        browser.wait("$('who').open")
        browser.run("$('who-name').value = 'carl'; $('who').querySelector('button').click(); 1")
        settled(browser)
        key(browser, "z")
        settled(browser)
        assert journal(work) == [("Arson1", "accepted", "carl"), ("Arson1", "proposed", "carl")]
        assert browser.run("localStorage.getItem('reviewer')") == "carl"
