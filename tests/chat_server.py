"""A server of chat completions in this process, that answers as a test tells it to."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler

from tests.hub_server import QuietServer


class Asked:
    """One request: its path, headers and JSON body."""

    def __init__(self, path: str, headers, body: dict):
        self.path, self.headers, self.body = path, headers, body


def completion(text: str | None) -> dict:
    """The body of an answer."""
    message = {"role": "assistant", "content": text}
    return {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


@contextmanager
def chat_server(answer: Callable[[Asked, int], tuple], port: int = 0) -> Iterator[tuple[str, list[Asked]]]:
    """Yields the address and the requests so far. `answer` gets a request and its number, from 0, and returns status,
    body (a dict, or bytes sent as they are) and, if any, headers. `port` is by default a free one."""
    asked, lock = [], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                asked.append(Asked(self.path, self.headers, body))
                number = len(asked) - 1
            status, content, *headers = answer(asked[number], number)
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": len(content), **(headers[0] if headers else {})}.items():
                self.send_header(name, str(value))
            with suppress(ConnectionError):  # a client that waits no longer
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = QuietServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
