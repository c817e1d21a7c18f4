"""A stand-in for the Hub: repositories that are folders, over HTTP, as far as downloads ask for them."""

import hashlib
import json
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from huggingface_hub import constants


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class QuietServer(ThreadingHTTPServer):
    """A server to which a client that goes away early is nothing to speak of."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def make_handler(repos: dict[str, Path], gated: set[str], asked: list[str]):
    """A handler of requests about `repos`, folders by name; the path of each request is added to `asked`."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def reply(self, status: int, body: bytes = b"", kind: str = "application/octet-stream", **headers) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": len(body), **headers}.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).strip("/")
            asked.append(path)
            is_api = path.startswith("api/models/")
            parts = path.removeprefix("api/models/").split("/")
            repo, rest = "/".join(parts[:2]), parts[2:]
            if repo in gated and not is_api:  # what there is may be seen, but not had
                self.reply(403, X_Error_Code="GatedRepo")
            elif repo not in repos:
                self.reply(401 if is_api else 404, X_Error_Code="RepoNotFound")
            elif is_api:
                self.api(repos[repo], rest)
            else:
                self.file(repos[repo] / "/".join(rest[2:]))

        def api(self, folder: Path, rest: list[str]) -> None:
            files = [file for file in sorted(folder.iterdir()) if file.is_file()]
            if rest[:1] == ["tree"]:
                found = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": digest(file)}
                    for file in files
                ]
            else:
                found = {"id": folder.name, "sha": COMMIT, "siblings": [{"rfilename": file.name} for file in files]}
            self.reply(200, json.dumps(found).encode(), "application/json")

        def file(self, path: Path) -> None:
            if not path.is_file():
                self.reply(404, X_Error_Code="EntryNotFound")
                return
            self.reply(200, path.read_bytes(), ETag=f'"{digest(path)}"', X_Repo_Commit=COMMIT)

    return Handler


def digest(path: Path) -> str:
    """The id of a file's content."""
    return hashlib.sha1(path.read_bytes()).hexdigest()


@contextmanager
def serving(handler) -> Iterator[str]:
    """A server on a free port of this machine; yields its address."""
    server = QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def point_hub_at(address: str, home: Path, monkeypatch) -> None:
    """Let this process take `address` for the Hub, and `home` for what it has downloaded."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(home / "assets"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
