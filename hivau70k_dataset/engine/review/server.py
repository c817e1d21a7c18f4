"""The server of the review page: the standard library's, for browsers on this machine alone."""

import json
import logging
import mimetypes
import re
import sys
import tempfile
import threading
import urllib.parse
import webbrowser
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...schema import AnnotationError
from ..decisions import Conflict
from ..state import State
from ..work import Work
from .changes import add_event, decide
from .items import item_to_json, items_of
from .table import read_table_decisions, write_table


logger = logging.getLogger(__name__)

HOSTS = ("127.0.0.1", "localhost", "[::1]")
MOST_BYTES = 64 * 2**20  # of a request; a table of many thousand items is smaller
PIECE = 2**18  # bytes of a video at a time


class Review:
    """
    What the page asks for; safe to call from several threads.

    Args:
        work ([`Work`]): The folder.
    """

    def __init__(self, work: Work):
        self.state, self.lock = State(work), threading.Lock()

    def videos(self, names: list[str] | None = None) -> dict[str, Any]:
        """Videos with all their items and scores; all, or some."""
        with self.lock:
            self.state.decisions.load()
            found = self.state.videos(with_rejected=True)
            wanted = [video for video in found if names is None or video.video in names]
            return {"rev": self.state.decisions.rev, "videos": [self._video(video) for video in wanted]}

    def changes(self, since: int) -> dict[str, Any]:
        """The videos about which something was decided after a number of decisions."""
        with self.lock:
            self.state.decisions.load()
            named = {decision.item.split("/", 1)[0] for decision in self.state.decisions.since(since)}
        return self.videos(sorted(named)) if named else {"rev": self.state.decisions.rev, "videos": []}

    def decide(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Keep a decision; the video as it is then."""
        with self.lock:
            known = {name: asked.get(name) for name in ("item", "who", "status", "about")}
            for name, value in known.items():
                if not isinstance(value, str):
                    raise AnnotationError(f"{name}: got {value!r}, expected a text")
            rev, fields = asked.get("rev"), asked.get("fields") or {}
            if not isinstance(rev, int) or not isinstance(fields, dict):
                raise AnnotationError("rev: expected a number, fields: an object")
            about = known["about"]
            decision = decide(self.state, known["item"], rev, known["who"], known["status"], fields, about)
        return {"decision": asdict(decision), **self.videos([decision.item.split("/", 1)[0]])}

    def add(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Keep a new event; its video as it is then."""
        with self.lock:
            names = ("video", "start_s", "end_s", "labels", "who")
            decision = add_event(self.state, *(asked.get(name) for name in names))
        return {"decision": asdict(decision), **self.videos([asked["video"]])}

    def undo(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Take back the last decision of a person; its video as it is then."""
        with self.lock:
            decision = self.state.decisions.undo(str(asked.get("who") or ""))
        if decision is None:
            return {"decision": None, "rev": self.state.decisions.rev, "videos": []}
        return {"decision": asdict(decision), **self.videos([decision.item.split("/", 1)[0]])}

    def read_table(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Take what was changed in a table; everything as it is then."""
        who = str(asked.get("who") or "").strip()
        if not who:
            raise AnnotationError("who: got nothing, expected the name of the person who decides")
        with self.lock, tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "table.csv")
            path.write_bytes(str(asked.get("table") or "").encode("utf-8"))
            taken, left = read_table_decisions(self.state, path, who)
        left = [line.replace(f"{path}: ", "") for line in left]
        return {"taken": len(taken), "left_out": left, **self.videos()}

    def table(self) -> bytes:
        """Everything as a table."""
        with self.lock, tempfile.TemporaryDirectory() as folder:
            self.state.decisions.load()
            path = Path(folder, "table.csv")
            write_table(self.state, path)
            return path.read_bytes()

    def file_of(self, name: str) -> Path | None:
        """The file of a video of this work folder; `None` of any other."""
        video = self.state.decoupled.get(name)
        return None if video is None else self.state.work.file_of(video)

    def _video(self, video) -> dict[str, Any]:
        about = {name: getattr(video, name) for name in ("video", "fps", "n_frames", "duration_s", "labels")}
        about |= {"times_s": video.times_s, "scores": video.scores}
        return {**about, "items": [item_to_json(item) for item in items_of(self.state, video)]}


@cache
def page() -> bytes:
    """The page, with its style and its script in it."""
    folder = files(__package__)
    text = {name: (folder / f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    return text["html"].replace("/* style */", text["css"]).replace("/* script */", text["js"]).encode("utf-8")


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    review: Review

    def do_GET(self):  # noqa: N802, the name that the library asks for
        """The page, the items, what has changed, a video."""
        if not self._is_from_here():
            return
        place = urllib.parse.urlsplit(self.path)
        asked = urllib.parse.parse_qs(place.query)
        if place.path == "/":
            self._send(200, page(), "text/html; charset=utf-8")
        elif place.path == "/api/items":
            self._answer(self.review.videos)
        elif place.path == "/api/changes":
            self._answer(lambda: self.review.changes(int(asked.get("since", ["0"])[0])))
        elif place.path == "/api/table":
            self._send_table()
        elif place.path.startswith("/video/"):
            self._send_video(urllib.parse.unquote(place.path.removeprefix("/video/")))
        else:
            self._send(404, b"there is no such page", "text/plain")

    def do_POST(self):  # noqa: N802
        """A decision, a new event, a step back, a table."""
        if not self._is_from_here():
            return
        calls = {"decide": self.review.decide, "add": self.review.add, "undo": self.review.undo}
        call = {**calls, "import": self.review.read_table}.get(self.path.removeprefix("/api/"))
        length = self.headers.get("Content-Length", "")
        if call is None or not length.isdecimal() or int(length) > MOST_BYTES:
            self.close_connection = True
            self._send(404 if call is None else 413, b"{}", "application/json")
            return
        body = self.rfile.read(int(length))

        def answer() -> dict[str, Any]:
            asked = json.loads(body)
            if not isinstance(asked, dict):
                raise AnnotationError("expected a JSON object")
            return call(asked)

        self._answer(answer)

    def _is_from_here(self) -> bool:
        """Whether a browser on this machine asks for this page's own things; other pages are sent away."""
        host = re.sub(r":\d+$", "", self.headers.get("Host", ""))
        origin = self.headers.get("Origin")
        foreign = origin is not None and urllib.parse.urlsplit(origin).netloc != self.headers.get("Host")
        kind = self.headers.get("Content-Type", "").split(";")[0]
        if host in HOSTS and not foreign and (self.command == "GET" or kind == "application/json"):
            return True
        self.close_connection = True
        self._send(403, b"for pages of this server alone", "text/plain")
        return False

    def _answer(self, call) -> None:
        try:
            status, found = 200, call()
        except Conflict as error:
            status, found = 409, {"error": str(error), "latest": asdict(error.latest)}
        except (ValueError, TypeError, KeyError) as error:
            status, found = 400, {"error": str(error)}
        self._send(status, json.dumps(found, ensure_ascii=False).encode("utf-8"), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        with suppress(ConnectionError):  # a browser that waits no longer
            self.end_headers()
            self.wfile.write(body)

    def _send_video(self, name: str) -> None:
        """A video, or the part of it that is asked for."""
        path = self.review.file_of(name)
        if path is None or not path.is_file():
            self._send(404, b"there is no such video in this work folder", "text/plain")
            return
        size = path.stat().st_size
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        start, end = 0, size - 1
        if asked and (asked[1] or asked[2]):
            start = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
            end = min(int(asked[2]), size - 1) if asked[1] and asked[2] else size - 1
            if start > end:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", mimetypes.guess_type(path.name)[0] or "video/mp4")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start + 1))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        with suppress(ConnectionError), open(path, "rb") as file:
            self.end_headers()
            file.seek(start)
            left = end - start + 1
            while left > 0 and (piece := file.read(min(PIECE, left))):
                self.wfile.write(piece)
                left -= len(piece)

    def _send_table(self) -> None:
        """Everything as a table to save."""
        body = self.review.table()
        self.send_response(200)
        self.send_header("Content-Type", "text/csv; charset=utf-8")
        self.send_header("Content-Disposition", 'attachment; filename="review.csv"')
        self.send_header("Content-Length", str(len(body)))
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A browser that goes away in the middle of a video is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def open_server(work: Work, port: int = 0):
    """Yields the address of the page; the server ends with the block.

    Raises:
        `OSError`: if the port is taken.
    """
    handler = type("WorkHandler", (Handler,), {"review": Review(work)})
    try:
        server = _Server(("127.0.0.1", port), handler)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: choose another --port", str(port)) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def serve(work: Work, port: int = 0, opens: bool = False) -> int:
    """Serve the page until Ctrl-C; the exit status."""
    with open_server(work, port) as address:
        print(f"review at {address} (on this machine alone; everything is saved at once; Ctrl-C ends)", flush=True)
        if opens:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    print()
    return 0
