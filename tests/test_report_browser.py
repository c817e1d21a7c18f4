"""The pages in a browser: what a click does, and that nothing comes from elsewhere."""

import shutil

import numpy as np
import pytest

from modeling_holmes_vau.cli.outputs import update_index
from modeling_holmes_vau.report.write import write_report
from tests.browser import Browser, needs_chromium
from tests.test_report import NASTY_NAME, make_analysis, make_frames
from tests.test_report_files import described
from tests.videos import write_video


pytestmark = needs_chromium
PLAYING = "document.body.classList.contains('plays')"


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Two reports and their index, with a video of 40 s beside them whose name is an odd one."""
    folder = tmp_path_factory.mktemp("reports")
    video = folder / NASTY_NAME
    write_video(folder / "plain.mp4", frames=np.zeros((80, 120, 160, 3), np.uint8), rate=2)
    shutil.move(folder / "plain.mp4", video)
    long = "word " * 60 + "x" * 200
    write_report(described(video=str(video), warning="one | two", answer=long), make_frames(), folder / "out" / "a #1")
    calm = make_analysis(events=(), video=str(folder / "gone.mp4"))
    write_report(calm, make_frames(), folder / "out" / "calm")
    update_index(folder / "out")
    events = tuple((180.0 * i, 180.0 * i + 1, 0.5 + i / 2000) for i in range(200))
    many = make_analysis(duration_s=36000.0, num_dense=5000, events=events, video="long " + "name_" * 40)
    write_report(many, make_frames(), folder / "many")
    return folder / "out"


def box(browser, selector: str, number: int = 0) -> tuple[float, float]:
    """The middle of an element, scrolled to."""
    element = f"document.querySelectorAll({selector!r})[{number}]"
    browser.run(f"{element}.scrollIntoView({{block: 'center'}})")
    left, top, width, height = browser.run(
        f"(({{left, top, width, height}}) => [left, top, width, height])({element}.getBoundingClientRect())"
    )
    return left + width / 2, top + height / 2


def played_from(browser, time_s: float) -> None:
    browser.wait(f"Math.abs(document.querySelector('video').currentTime - {time_s}) < 1.5")
    browser.wait("!document.querySelector('video').paused")
    browser.run("document.querySelector('video').pause()")


@pytest.mark.parametrize(
    ("selector", "number", "time_s"),
    [(".event h3 .seek", 1, 20.0), (".clips .seek", 1, 8.0), (".whole .frame", 3, 39.96), (".labels .seek", 0, 4.0),
     (".plot", 0, 20.0)],
)  # fmt: skip
def test_a_click_plays_from_there(browser, reports, selector, number, time_s):
    browser.open((reports / "a #1" / "report.html").as_uri())
    browser.wait(PLAYING)
    browser.click(*box(browser, selector, number))
    browser.wait(f"Math.abs(document.querySelector('video').currentTime - {time_s}) < 1.5")
    share = browser.run("parseFloat(document.querySelector('.playhead').style.left)")
    assert share == pytest.approx(100 * time_s / 40, abs=4)
    assert browser.complaints() == []


def test_the_keyboard_reaches_it_too(browser, reports):
    browser.open((reports / "a #1" / "report.html").as_uri())
    browser.wait(PLAYING)
    browser.run("document.querySelectorAll('.clips .seek')[1].focus()")
    browser.press("Enter", "\r")
    played_from(browser, 8.0)
    browser.run("document.querySelector('.plot').focus()")
    browser.press("End")
    assert browser.run("document.querySelector('.tip').textContent").startswith("0:40.0  score 0.")
    browser.press("ArrowRight")
    last = float(browser.run("document.querySelector('.plot').getAttribute('aria-valuenow')"))
    assert last == pytest.approx(39.96)
    browser.press("Enter", "\r")
    browser.wait("document.querySelector('video').currentTime > 38")


def test_hover_tells_time_and_score(browser, reports):
    browser.open((reports / "calm" / "report.html").as_uri())
    x, y = box(browser, ".plot")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    browser.wait("!document.querySelector('.tip').hidden")
    index = int(np.abs(np.linspace(0, 999, 50).round() / 25 - 20).argmin())
    score = make_analysis()["scores"][index]
    time_s = make_analysis()["dense_times_s"][index]
    assert browser.run("document.querySelector('.tip').textContent") == f"0:{time_s:.1f}  score {score:.2f}"


def test_without_the_video_the_page_is_whole(browser, reports):
    """It was there when the page was written, and is not where the page is now."""
    moved = reports.parent / "moved" / "to" / "elsewhere"
    shutil.copytree(reports / "a #1", moved)
    for page in (moved, reports / "calm"):
        browser.open((page / "report.html").as_uri())
        browser.run("new Promise((done) => setTimeout(done, 300))")
        assert not browser.run(PLAYING)
        assert browser.run("[...document.querySelectorAll('.player')].every((box) => box.offsetHeight === 0)")
        assert browser.run("[...document.querySelectorAll('.seek')].every((button) => button.disabled)")
        assert browser.run("[...document.images].every((image) => image.naturalWidth > 0)")


@pytest.mark.parametrize("name", ["a #1/report.html", "calm/report.html", "../many/report.html", "index.html"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_window(browser, reports, name, width):
    browser.open((reports / name).as_uri(), width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("performance.getEntriesByType('resource').map((entry) => entry.name).join()").count("http") == 0


def test_the_index_filters_and_leads_to_the_moment(browser, reports):
    browser.open((reports / "index.html").as_uri())
    shown = "[...document.querySelectorAll('.videos > li')].filter((row) => row.offsetHeight > 0).length"
    assert browser.run(shown) == 2 and browser.complaints() == []
    browser.click(*box(browser, "input"))
    assert browser.run(shown) == 1 and browser.run("document.querySelector('output').textContent") == "1 of 2 shown"
    browser.click(*box(browser, "input"))
    for choice, count in (("Shooting", 1), ("", 2)):
        select = "document.querySelector('select')"
        browser.run(f"{select}.value = {choice!r}; {select}.dispatchEvent(new Event('change', {{bubbles: true}}))")
        assert browser.run(shown) == count
    browser.click(*box(browser, ".events a", 1))
    browser.wait(f"location.href.endsWith('report.html#t=20.000') && document.body && {PLAYING}")
    browser.wait("document.querySelector('video').currentTime >= 20")
