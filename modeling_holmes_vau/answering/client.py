"""A client of servers of OpenAI's chat completions (vLLM, `transformers serve`), of the standard library alone."""

import argparse
import email.utils
import http.client
import json
import logging
import random
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request


logger = logging.getLogger(__name__)

RETRIED = (408, 409, 425, 429)  # statuses below 500 that another try may change
ABOUT_THE_MESSAGES = (400, 413, 422)  # too long, filtered, malformed: the next messages may be fine
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0  # before another try; the wait doubles from one to the next
LONGEST_SAID = 300  # characters of a server's words in an error
HINTS = {
    401: "; pass the key, --api-key-env names its variable",
    403: "; check the key",
    404: "; check the address and the name of the model",
}
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# What the newer models of OpenAI refuse `max_tokens` with, and any temperature but their own.
NEW_NAME = "max_completion_tokens"
_ABOUT_TEMPERATURE = re.compile(rb"""["'`]temperature["'`](?!\s*:)""")  # not where the request is said again


def add_server_arguments(parser: argparse.ArgumentParser, required: bool, concurrency: int) -> None:
    """Arguments of commands that ask a server.

    Args:
        parser (`argparse.ArgumentParser`, or a group of one): Where to add them.
        required (`bool`): Whether there is no way without a server.
        concurrency (`int`): Default of `--concurrency`.
    """
    parser.add_argument(
        "--endpoint", required=required, metavar="URL", help="of OpenAI's form, such as http://localhost:8000/v1"
    )
    parser.add_argument("--api-key-env", metavar="VAR", help="environment variable that holds the key")
    parser.add_argument(
        "--concurrency", type=int, default=concurrency, metavar="N", help="requests under way at a time (%(default)s)"
    )
    parser.add_argument("--timeout", type=float, default=300.0, metavar="S", help="seconds without a byte (300)")
    parser.add_argument("--retries", type=int, default=5, metavar="N", help="how often a request is repeated (5)")


class EndpointError(OSError):
    """The server cannot be reached, or will answer nothing. One line: which server, what it said, what to do."""


class RefusedRequest(EndpointError):
    """The server will not answer these messages; others it may."""


class ChatClient:
    """
    Asks one model behind one server.

    Calls from several threads do not get in each other's way. A request that fails for a reason that may pass (no
    connection, too many requests, an error of the server) is sent again after a wait that doubles each time, or that
    the server names, up to a minute. A model that refuses `max_tokens` gets `max_completion_tokens` from then on, one
    that refuses the temperature gets none. After an `EndpointError` that is no `RefusedRequest` nothing more is asked.

    Args:
        endpoint (`str`): `http://host:port`, with or without `/v1` and `/chat/completions` behind it.
        model (`str`): Name of the model, as the server knows it.
        api_key (`str`, *optional*): Sent as bearer token.
        timeout_s (`float`, *optional*, defaults to 300.0): Seconds without a byte after which a request has failed.
        retries (`int`, *optional*, defaults to 5): How many times a request is sent again.

    Example:

    ```python
    >>> client = ChatClient("http://localhost:8000", "my-model")
    >>> client.url
    'http://localhost:8000/v1/chat/completions'
    >>> client.complete([{"role": "user", "content": "Is a parade an anomaly?"}], max_tokens=8)  # doctest: +SKIP
    'No.'

    ```
    """

    def __init__(
        self, endpoint: str, model: str, api_key: str | None = None, timeout_s: float = 300.0, retries: int = 5
    ):
        if not timeout_s > 0 or retries < 0:
            raise ValueError(f"`timeout_s` must be above 0 and `retries` 0 or more, got {timeout_s} and {retries}.")
        self.url = chat_url(endpoint)
        self.model, self.timeout_s, self.retries = model, timeout_s, retries
        self._headers = {"Content-Type": "application/json", "User-Agent": "holmes-vau"}
        if api_key and not (api_key.strip().isascii() and api_key.strip().isprintable()):
            raise ValueError("`api_key` holds characters that a header cannot carry; pass the key alone, on one line.")
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key.strip()}"
        self._length_name, self._sends_temperature = "max_tokens", True
        self._stopped, self._why, self._lock = threading.Event(), "", threading.Lock()
        # A proxy of the environment cannot reach this machine's own servers.
        is_local = urllib.parse.urlsplit(self.url).hostname in LOOPBACK
        self._opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if is_local else []))

    def complete(self, messages: list[dict], max_tokens: int, temperature: float = 0.0) -> str:
        """The model's answer.

        Args:
            messages (`list[dict]`): In OpenAI's form: `role`, and `content`, a text or a list of parts.
            max_tokens (`int`): Longest answer.
            temperature (`float`, *optional*, defaults to 0.0): 0 is greedy.

        Raises:
            `RefusedRequest`: if the server will not answer these messages, or answers without a text.
            `EndpointError`: if it cannot be reached, refuses everything, or fails after all retries; and in every
                later call.
        """
        try:
            return self._complete(messages, max_tokens, temperature)
        except RefusedRequest:
            raise
        except EndpointError as error:
            self.stop(str(error))
            raise

    def stop(self, why: str) -> None:
        """Ask nothing more: requests that wait for another try end, and later ones, with an `EndpointError`."""
        self._why = self._why or why
        self._stopped.set()

    def _complete(self, messages: list[dict], max_tokens: int, temperature: float) -> str:
        tries = 0
        while True:
            if self._stopped.is_set():
                raise EndpointError(self._why)
            request = {"model": self.model, "messages": messages, self._length_name: max_tokens}
            if self._sends_temperature:
                request["temperature"] = temperature
            try:
                return self._text(self._send(request))
            except urllib.error.HTTPError as error:
                body = _body(error)
                if error.code == 400 and self._learns(request, body):
                    continue
                problem, wait_s = self._refusal(error, body), _asked_wait_s(error)
            except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
                if isinstance(error, EndpointError):
                    raise
                problem, wait_s = self._unreachable(error), None
            tries += 1
            if tries > self.retries:
                raise EndpointError(f"{problem}, after {tries} {'try' if tries == 1 else 'tries'}")
            doubled_s = FIRST_WAIT_S * 2 ** (tries - 1) * random.uniform(1.0, 1.5)  # not all requests at one time
            self._wait(min(LONGEST_WAIT_S, doubled_s if wait_s is None else wait_s))

    def _send(self, fields: dict) -> bytes:
        request = urllib.request.Request(self.url, json.dumps(fields).encode("utf-8"), self._headers)
        with self._opener.open(request, timeout=self.timeout_s) as response:
            return response.read()

    def _wait(self, seconds: float) -> None:
        self._stopped.wait(seconds)

    def _learns(self, request: dict, refusal: bytes) -> bool:
        """Whether a refusal is about a parameter of this request that the next one goes without."""
        with self._lock:  # several threads may learn the same at a time
            if NEW_NAME not in request and NEW_NAME.encode() in refusal:
                self._length_name = NEW_NAME
                return True
            if "temperature" in request and _ABOUT_TEMPERATURE.search(refusal):
                if self._sends_temperature:
                    logger.warning(f"{self.url}: takes no temperature, so that answers may differ from run to run")
                self._sends_temperature = False
                return True
        return False

    def _text(self, body: bytes) -> str:
        """The text of an answer."""
        try:
            choice = json.loads(body)["choices"][0]
            content = choice["message"]["content"]
        except (ValueError, LookupError, TypeError) as error:
            said = _shortened(body.decode("utf-8", "replace"))
            raise EndpointError(f"{self.url}: answered with no chat completion: {said}; check the endpoint") from error
        if not isinstance(content, str):
            ended = choice.get("finish_reason")
            raise RefusedRequest(f"{self.url}: answered without a text (finish_reason {ended!r})")
        return content

    def _refusal(self, error: urllib.error.HTTPError, body: bytes) -> str:
        """What a server said that may answer later; raises when it will not."""
        said = f"{self.url}: {error.code} {error.reason}{_words(body)}"
        if error.code >= 500 or error.code in RETRIED:
            return said
        if error.code in ABOUT_THE_MESSAGES:
            raise RefusedRequest(said) from error
        raise EndpointError(f"{said}{HINTS.get(error.code, '')}") from error

    def _unreachable(self, error: Exception) -> str:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            return f"{self.url}: no answer within {self.timeout_s:g} s"
        return f"{self.url}: no connection ({_shortened(str(reason)) or type(reason).__name__})"


def chat_url(endpoint: str) -> str:
    """The address of chat completions under an endpoint.

    >>> chat_url("https://host/api/v1/")
    'https://host/api/v1/chat/completions'
    """
    try:
        parts = urllib.parse.urlsplit(endpoint)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:  # a port that is no number
        known = False
    if not known:
        raise ValueError(f"`endpoint` must be an address like http://localhost:8000/v1, got {endpoint!r}.")
    path = parts.path.rstrip("/") or "/v1"
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return urllib.parse.urlunsplit(parts._replace(path=path, fragment=""))


def _asked_wait_s(error: urllib.error.HTTPError) -> float | None:
    """The wait a server asks for, in seconds: a number or a date."""
    asked = (error.headers.get("Retry-After") or "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return None


def _body(error: urllib.error.HTTPError) -> bytes:
    """The body of a refusal, as far as it came."""
    with error:
        try:
            return error.read()
        except (OSError, http.client.HTTPException):
            return b""


def _words(body: bytes) -> str:
    """What the body of an error says, as `: words`; servers differ in where they put it."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
        for name in ("error", "detail", "message"):
            if isinstance(found, dict) and name in found:
                found = found[name]
        text = found if isinstance(found, str) else json.dumps(found)
    except ValueError:
        pass
    return f": {_shortened(text)}" if text.strip() else ""


def _shortened(text: str) -> str:
    """A text on one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SAID else f"{line[:LONGEST_SAID]}..."
