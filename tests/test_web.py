"""The web page in a browser, and its calls from Python, as whoever uses them sees them."""

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest

from modeling_holmes_vau.checkpoint.known import default_checkpoint
from modeling_holmes_vau.checkpoint.load import load_checkpoint
from modeling_holmes_vau.cli import main
from tests.browser import Browser, needs_chromium
from tests.passes import passes_of
from tests.test_report_browser import box
from tests.videos import write_video


pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gradio") is None, reason='gradio is not installed: pip install "holmes-vau[web]"'
)
ROOT = Path(__file__).parents[1]
MAX_MB, MAX_MINUTES = 1.5, 1.0
READY = "document.querySelector('#words .whole .answer') && !document.querySelector('#report button[disabled]')"


@pytest.fixture(scope="module")
def clips(demo_folder) -> dict[str, Path]:
    """The two demo videos, by what they show."""
    files = sorted((demo_folder / "videos").rglob("*.mp4"))
    return {"normal": files[0], "abnormal": files[1]}


@pytest.fixture(scope="module")
def site(demo_folder):
    """Model, address and app of a page that offers the demo videos."""
    from modeling_holmes_vau.apps.limits import Limits, Shelf
    from modeling_holmes_vau.apps.web import Page, build_app, launch

    model, processor = load_checkpoint(str(default_checkpoint()))
    page = Page(model, processor, "mini", Shelf.of(demo_folder / "videos"), Limits(MAX_MB, MAX_MINUTES))
    app = build_app(page)
    yield model, launch(app, page, block=False), app
    app.close()


def upload(browser: Browser, path: Path) -> None:
    """Give a file to the field that takes uploads."""
    browser.wait("document.querySelector('#upload input[type=file]')", 30)
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    field = browser.call("DOM.querySelector", nodeId=root, selector="#upload input[type=file]")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=field, files=[str(path)])


def visit(browser: Browser, address: str, path: Path, width: int = 1280) -> None:
    """Open the page, upload a video and wait for its words."""
    browser.open(address, width)
    upload(browser, path)
    browser.wait(READY, 60)


def text(browser: Browser, selector: str) -> str:
    return browser.run(f"document.querySelector({selector!r}).innerText")


def click_on(browser: Browser, selector: str) -> None:
    browser.click(*box(browser, selector))


def type_into(browser: Browser, selector: str, value: str) -> None:
    """Put a value into a field, as a person at the keyboard does."""
    browser.wait(f"document.querySelector({selector!r})?.offsetParent")  # what is hidden takes no focus
    browser.run(f"document.querySelector({selector!r}).focus()")
    browser.run(f"document.querySelector({selector!r}).select()")
    browser.call("Input.insertText", text=value)
    browser.wait(f"document.querySelector({selector!r}).value == {value!r}")


def set_threshold(browser: Browser, value: str) -> None:
    """Move the threshold; again, if the page put its own value back while it was still opening the settings."""
    for _ in range(8):
        browser.wait("document.querySelector('#threshold input[type=number]')?.offsetParent")
        browser.run(
            f"""{{ const field = document.querySelector("#threshold input[type=number]");
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, {value!r});
            for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, {{bubbles: true}})); }}"""
        )
        shown = f"document.querySelector('#curve').innerText.includes('threshold {value}')"
        if browser.run(f"new Promise((done) => setTimeout(() => done({shown}), 3000))"):
            return
    raise AssertionError(f"the threshold did not become {value}")


@pytest.fixture(scope="module")
def visited(site, clips):
    """A browser in which the abnormal video was uploaded and described."""
    with Browser() as browser:
        browser.call("Network.enable")
        visit(browser, site[1], clips["abnormal"])
        yield browser


def test_the_conversation_is_never_wiped_by_what_comes_late(site):
    """Whatever fills the conversation of its own accord looks at what has been said by then."""
    from modeling_holmes_vau.apps.web import Actions

    fills = [fn for fn in site[2].fns.values() if [block.elem_id for block in fn.outputs] == ["chat"]]
    assert len(fills) > 5 and {fn.name for fn in fills} == {Actions.talk_about.__name__}


@needs_chromium
def test_an_upload_shows_curve_events_and_words(visited, site):
    assert visited.run("document.querySelectorAll('#curve .plot svg').length") == 1
    assert "Event 1" in text(visited, "#words") and "Judgement" in text(visited, "#words")
    assert "synthetic videos alone" in text(visited, ".holmes header")  # what the model is good for, once
    assert "synthetic videos alone" not in text(visited, "#words") + text(visited, "#curve")
    requested = {
        e["params"]["request"]["url"] for e in visited.events if e.get("method") == "Network.requestWillBeSent"
    }
    assert len(requested) > 5
    assert [url for url in requested if not url.startswith((site[1], "data:", "blob:"))] == []
    assert visited.complaints() == []


@needs_chromium
@pytest.mark.parametrize("selector", ["#words .event h3 .seek", "#words .frame", "#curve .labels .seek"])
def test_a_click_plays_from_there(visited, selector):
    wanted = float(visited.run(f"document.querySelector({selector!r}).dataset.s"))
    visited.run("document.querySelector('#film video').currentTime = 30")
    click_on(visited, selector)
    visited.wait(f"Math.abs(document.querySelector('#film video').currentTime - {wanted}) < 2")


@needs_chromium
def test_the_curve_plays_by_pointer_and_keys(visited):
    visited.run("document.querySelector('#film video').currentTime = 30")
    click_on(visited, "#curve .plot")  # its middle
    visited.wait("Math.abs(document.querySelector('#film video').currentTime - 17.85) < 2")
    visited.run("document.querySelector('#curve .plot').focus()")
    visited.press("End")
    visited.press("Enter", "\r")
    visited.wait("document.querySelector('#film video').currentTime > 34")


@needs_chromium
def test_a_question_about_an_event_is_answered_and_kept_apart(visited):
    visited.run("[...document.querySelectorAll('button[role=tab]')].find((b) => b.innerText.includes('Ask')).click()")
    visited.wait("document.querySelectorAll('#part input').length == 2")
    click_on(visited, "#part label:nth-of-type(2)")
    type_into(visited, "#question textarea", "What happens here?")
    visited.press("Enter", "\r")
    visited.wait("document.querySelector('#chat .bot')?.innerText.length > 20", 30)
    assert "What happens here?" in text(visited, "#chat")
    click_on(visited, "#part label:nth-of-type(1)")
    visited.wait("document.querySelectorAll('#chat .bot').length == 0")
    click_on(visited, "#part label:nth-of-type(2)")
    visited.wait("document.querySelectorAll('#chat .bot').length == 1")
    visited.run("[...document.querySelectorAll('button[role=tab]')][0].click()")


@needs_chromium
def test_another_threshold_changes_the_events_and_scores_nothing_again(visited, site):
    scored = site[0].anomaly_scorer
    visited.run("document.querySelector('#settings button').click()")
    visited.wait("document.querySelector('#threshold input[type=number]')?.offsetParent")
    with passes_of(scored) as scores:
        set_threshold(visited, "1")
        visited.wait("document.querySelector('#curve').innerText.includes('no abnormal event')")
        assert "None found" in text(visited, "#words")
        set_threshold(visited, "0.5")
        visited.wait("document.querySelector('#words').innerText.includes('Judgement')", 20)
        visited.wait("!document.querySelector('#curve').innerText.includes('no abnormal event')")
    assert scores == []
    visited.run("document.querySelector('#settings button').click()")


@needs_chromium
def test_report_and_analysis_can_be_taken_along(visited, clips, tmp_path):
    visited.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))

    def fetch(selector: str, name: str) -> bytes:
        click_on(visited, selector)
        for _ in range(100):
            if (tmp_path / name).is_file():
                return (tmp_path / name).read_bytes()
            visited.run("new Promise((done) => setTimeout(done, 50))")
        raise AssertionError(f"{name} did not come: {[*tmp_path.iterdir()]}")

    stem = clips["abnormal"].stem
    with zipfile.ZipFile(io.BytesIO(fetch("#report", f"{stem}_report.zip"))) as archive:
        names = {Path(name).name for name in archive.namelist()}
        assert {"report.html", "events.csv", "events.vtt", "events.srt", "analysis.json"} <= names
        pages = b"".join(archive.read(name) for name in archive.namelist() if not name.endswith((".png", ".jpg")))
    analysis = json.loads(fetch("#json", f"{stem}_analysis.json"))
    assert analysis["video"] == clips["abnormal"].name and len(analysis["events"]) == 1
    assert b"/tmp/" not in pages  # no path of the server


@needs_chromium
def test_what_cannot_be_read_is_told_and_the_page_goes_on(site, clips, tmp_path):
    (tmp_path / "notes.mp4").write_text("Dear diary, " * 100)
    whole = clips["normal"].read_bytes()
    (tmp_path / "broken.mp4").write_bytes(whole[:200] + bytes(len(whole) // 3))
    write_video(tmp_path / "long.mp4", frames=np.zeros((70, 64, 64, 3), np.uint8), rate=1)
    with Browser() as browser:
        browser.open(site[1])
        for name, said in (
            ("notes.mp4", "notes.mp4"),
            ("broken.mp4", "broken.mp4"),
            ("long.mp4", "long.mp4 lasts 1:10, this page takes up to 1 minutes"),
        ):
            upload(browser, tmp_path / name)
            browser.wait(f"document.querySelector('#curve .warning')?.innerText.includes({said!r})", 30)
            assert "/tmp/" not in text(browser, "#curve")
            browser.run(
                "document.querySelector('#upload button[aria-label=\"Clear\"], #upload [title=Clear]')?.click()"
            )
            browser.wait("document.querySelector('#upload input[type=file]')")
        upload(browser, clips["normal"])
        browser.wait(READY, 60)
        assert "None found" in text(browser, "#words")


@needs_chromium
def test_an_upload_over_the_limit_is_refused(site, tmp_path):
    (tmp_path / "large.mp4").write_bytes(bytes(int(MAX_MB * 1e6) + 100_000))
    with Browser() as browser:
        browser.open(site[1])
        upload(browser, tmp_path / "large.mp4")
        browser.wait(
            "/exceed|large|size/i.test(document.querySelector('.toast-wrap, [role=alert]')?.innerText ?? '')", 20
        )
        assert browser.run("document.querySelectorAll('#curve .plot').length") == 0


@needs_chromium
def test_two_visitors_do_not_mix_and_a_reload_in_the_middle_harms_nothing(site, clips):
    with Browser() as one, Browser() as other:
        one.open(site[1])
        other.open(site[1])
        upload(one, clips["abnormal"])
        upload(other, clips["normal"])
        for browser in (one, other):
            browser.wait(READY, 60)
        assert "Event 1" in text(one, "#words") and "None found" in text(other, "#words")
        upload_again = "document.querySelector('#upload [aria-label=Clear], #upload [title=Clear]')?.click()"
        one.run(upload_again)
        upload(one, clips["normal"])
        one.open(site[1])  # while that is read
        assert one.run("document.querySelectorAll('#curve .plot').length") == 0
        upload(one, clips["abnormal"])
        one.wait(READY, 60)
        assert "Event 1" in text(one, "#words") and "None found" in text(other, "#words")


@needs_chromium
def test_on_a_phone_and_from_the_shelf_by_keyboard(site, clips):
    with Browser() as browser:
        browser.open(site[1], width=390)
        browser.wait("document.querySelector('#shelf input')", 30)
        browser.run("document.querySelector('#shelf input').focus()")
        browser.press("ArrowDown")
        browser.press("ArrowDown")
        browser.press("Enter", "\r")
        browser.wait(READY, 60)
        assert browser.run("document.documentElement.scrollWidth") <= 390
        assert browser.run("document.querySelector('#film video').readyState > 0 || true")
        reached = set()
        browser.run("document.body.focus()")
        for _ in range(40):
            browser.press("Tab")
            reached.add(browser.run("document.activeElement.closest('[id]')?.id ?? document.activeElement.className"))
        assert {"shelf", "levels"} <= reached or len(reached) > 10


# ---- from Python ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(site):
    from gradio_client import Client

    return Client(site[1], verbose=False)


def test_the_call_gives_the_analysis_of_the_command_line(client, clips, tmp_path, capsys):
    from gradio_client import handle_file

    assert main(["analyze", str(clips["abnormal"]), "--json", "--granularity", "video", "event", "clip"]) == 0
    printed = json.loads(capsys.readouterr().out)
    called = client.predict(
        handle_file(clips["abnormal"]), granularity=["video", "event", "clip"], api_name="/analyze"
    )
    assert Path(printed["video"]).name == called["video"]
    for name in set(printed) - {"video", "model", "seconds", "options"}:
        assert called[name] == printed[name], name
    answer = client.predict("What happens here?", 1, api_name="/ask")
    assert isinstance(answer, str) and len(answer) > 10


def test_calls_with_mistakes_are_told(client, clips):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match="num_frames"):
        client.predict(handle_file(clips["normal"]), num_frames=10_000, api_name="/analyze")
    client.predict(handle_file(clips["normal"]), granularity=[], api_name="/analyze")
    with pytest.raises(AppError, match="There is no event 7"):
        client.predict("What?", 7, api_name="/ask")
    with pytest.raises(AppError, match="The question is empty"):
        client.predict(" ", 0, api_name="/ask")


def test_the_calls_are_all_there_is(client):
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/analyze", "/ask"}


def call_raw(address: str, *data) -> str:
    """What the server answers to a call whose values no client has looked at."""
    body = json.dumps({"data": data}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{address}gradio_api/call/analyze", body, headers)) as begun:
        event = json.loads(begun.read())["event_id"]
    with urllib.request.urlopen(f"{address}gradio_api/call/analyze/{event}") as answer:
        return answer.read().decode()


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../etc/passwd", str(Path(__file__).resolve()), "{private}"])
def test_no_path_of_the_server_can_be_read(site, tmp_path, path):
    path = path.format(private=write_video(tmp_path / "private.mp4", 30))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{site[1]}gradio_api/file={path}")
    assert refused.value.code in (403, 404)
    rest = ["", [], None, None, None, None]
    said = call_raw(site[1], {"path": path, "meta": {"_type": "gradio.FileData"}}, *rest)
    assert "event: error" in said and "not a video" not in said and "scores" not in said


# ---- the Space ------------------------------------------------------------------------------------------------------


def test_the_folder_of_the_space_stands_alone(tmp_path):
    subprocess.run(["make", "space"], cwd=ROOT, check=True, capture_output=True)
    folder = shutil.move(ROOT / "build" / "space", tmp_path / "space")
    script = (
        "import app, modeling_holmes_vau as package, pathlib; page = app.build_page(); "
        "assert pathlib.Path(package.__file__).is_relative_to(pathlib.Path.cwd()); "
        "app.build_app(page); print(len(page.shelf.paths), page.model_name)"
    )
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "holmes-vau-mini"]


def test_the_space_wants_what_is_tested():
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    wanted = [line for line in (ROOT / "space/requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(pinned[name] == version for name, version in (line.split("==") for line in wanted))
    facts = (ROOT / "space/README.md").read_text().split("---")[1]
    assert f"sdk_version: {pinned['gradio']}" in facts and "app_file: app.py" in facts


# ---- without a browser ----------------------------------------------------------------------------------------------


def test_mistakes_on_the_command_line_are_told(capsys, tmp_path):
    assert main(["web", "--max-mb", "0"]) == 1 and "--max-mb must be above 0" in capsys.readouterr().err
    assert main(["web", "--videos", str(tmp_path / "none")]) == 1 and "no such folder" in capsys.readouterr().err
