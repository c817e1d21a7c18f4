"""Answers of a model behind a server of chat completions (vLLM, `transformers serve`), by the `openai` package."""

import asyncio
import dataclasses
import json
import logging
import os
import re
import threading
import urllib.parse
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress

from ..base.errors import causes
from ..spans_holmes_vau import Segment
from .answerer import AUTO, FRAMES_AS, NEW_TOKENS, NUM_FRAMES, Answerer, Completion, Reply, middle_frames
from .pictures import frame_parts
from .writer import Writer


logger = logging.getLogger(__name__)

RETRIED = (408, 409, 429)  # statuses below 500 that the client tries again
ABOUT_THE_MESSAGES = (400, 413, 422)  # too long, filtered, malformed: the next messages may be fine
LONGEST_SAID = 300  # characters of a server's words in an error
HINTS = {
    401: "; pass the key, --api-key-env names its variable",
    403: "; check the key",
    404: "; check the address and the name of the model",
}
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PATH = "/chat/completions"
# What the newer models of OpenAI refuse `max_tokens` with, and any temperature but their own.
NEW_NAME = "max_completion_tokens"
_ABOUT_TEMPERATURE = re.compile(rb"""["'`]temperature["'`](?!\s*:)""")  # not where the request is said again
_ABOUT_SCHEMA = re.compile(rb"""response_format|json_schema|guided|structured""")
GARBLED_TRIES = 3  # at most, for an answer that is no chat completion
TRIES_BEFORE = "x-stainless-retry-count"  # a header of the client's requests


class EndpointError(OSError):
    """The server cannot be reached, or will answer nothing. One line: which server, what it said, what to do."""


class RefusedRequest(EndpointError):
    """The server will not answer these messages; others it may."""


class _Garbled(EndpointError):
    """What came is no chat completion: cut off on the way, or there is no such server."""


class ChatClient:
    """
    Asks one model behind one server.

    Calls from several threads do not get in each other's way. A request that fails for a reason that may pass (no
    connection, too many requests, an error of the server) is sent again after a wait that grows each time, or that the
    server names, as the `openai` package does. A model that refuses `max_tokens` gets `max_completion_tokens` from
    then on, one that refuses the temperature gets none. After an `EndpointError` that is no `RefusedRequest` nothing
    more is asked; what is being answered is waited for.

    Args:
        endpoint (`str`): `http://host:port`, with or without `/v1` and `/chat/completions` behind it.
        model (`str`): Name of the model, as the server knows it.
        api_key (`str`, *optional*): Sent as bearer token; without it none is, whatever the environment holds.
        timeout_s (`float`, *optional*, defaults to 300.0): Seconds without a byte after which a request has failed.
        retries (`int`, *optional*, defaults to 5): How many times a request is sent again.

    Raises:
        `ImportError`: without the `openai` package.

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
        if api_key and not (api_key.strip().isascii() and api_key.strip().isprintable()):
            raise ValueError("`api_key` holds characters that a header cannot carry; pass the key alone, on one line.")
        self.url, self.model, self.timeout_s, self._retries = chat_url(endpoint), model, timeout_s, retries
        self._has_key = bool(api_key)
        self._requests = _Requests()
        self._client = _open_client(self.url, (api_key or "none").strip(), timeout_s, retries, self._requests)
        self._length_name, self._sends_temperature, self._sends_schema = "max_tokens", True, True
        # Requests are tasks of one loop, so that one that waits for another try can be ended.
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=(self._loop,), daemon=True).start()
        weakref.finalize(self, asyncio.run_coroutine_threadsafe, _close(self._client, self._loop), self._loop)

    def complete(self, messages: list[dict], max_tokens: int, temperature: float = 0.0) -> str:
        """The model's answer; see [`ChatClient.ask`]."""
        return self.ask(messages, max_tokens, temperature).text

    def ask(
        self, messages: list[dict], max_tokens: int, temperature: float = 0.0, schema: dict | None = None
    ) -> Completion:
        """The model's answer, and its tokens.

        Args:
            messages (`list[dict]`): In OpenAI's form: `role`, and `content`, a text or a list of parts.
            max_tokens (`int`): Longest answer.
            temperature (`float`, *optional*, defaults to 0.0): 0 is greedy.
            schema (`dict`, *optional*): JSON schema of the answer. A server that refuses one is not sent any again,
                and one that leaves it aside answers as it likes.

        Raises:
            `RefusedRequest`: if the server will not answer these messages, or answers without a text.
            `EndpointError`: if it cannot be reached, refuses everything, or fails after all retries; and in every
                later call.
        """
        future = asyncio.run_coroutine_threadsafe(self._answer(messages, max_tokens, temperature, schema), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise EndpointError(self._requests.why) from None
        except RefusedRequest:
            raise
        except EndpointError as error:
            self.stop(str(error))
            raise

    def stop(self, why: str) -> None:
        """Ask nothing more: requests that wait for another try end, and later ones, with an `EndpointError`."""
        self._requests.why = self._requests.why or why
        self._loop.call_soon_threadsafe(self._requests.end_waiting)

    async def _answer(
        self, messages: list[dict], max_tokens: int, temperature: float, schema: dict | None
    ) -> Completion:
        """The server's answer; a parameter that the model does not take is left out from then on, and what comes in
        pieces is asked for again."""
        with self._requests.one_more():
            for _ in range(min(GARBLED_TRIES - 1, self._retries)):
                with suppress(_Garbled):
                    return self._completion(await self._create(messages, max_tokens, temperature, schema))
            return self._completion(await self._create(messages, max_tokens, temperature, schema))

    async def _create(self, messages: list[dict], max_tokens: int, temperature: float, schema: dict | None) -> bytes:
        import openai

        create = self._client.chat.completions.with_raw_response.create
        headers = {} if self._has_key else {"Authorization": openai.Omit()}  # no key of the environment's either
        while True:
            request = {"model": self.model, "messages": messages, self._length_name: max_tokens}
            if self._sends_temperature:
                request["temperature"] = temperature
            if schema is not None and self._sends_schema:
                named = {"name": "answer", "schema": schema, "strict": True}
                request["response_format"] = {"type": "json_schema", "json_schema": named}
            try:
                return (await create(**request, extra_headers=headers)).http_response.content
            except openai.APIStatusError as error:
                if not (error.status_code == 400 and self._learns(request, error.response.content)):
                    raise self._refusal(error) from error
            except openai.APIConnectionError as error:
                raise EndpointError(f"{self._unreachable(error)}{_after_tries(error)}") from error

    def _learns(self, request: dict, refusal: bytes) -> bool:
        """Whether a refusal is about a parameter of this request that the next one goes without."""
        if NEW_NAME not in request and NEW_NAME.encode() in refusal:
            self._length_name = NEW_NAME
            return True
        if "response_format" in request and _ABOUT_SCHEMA.search(refusal):
            self._sends_schema = False
            return True
        if "temperature" in request and _ABOUT_TEMPERATURE.search(refusal):
            if self._sends_temperature:
                logger.warning(f"{self.url}: takes no temperature, so that answers may differ from run to run")
            self._sends_temperature = False
            return True
        return False

    def _completion(self, body: bytes) -> Completion:
        """What the body of an answer says."""
        try:
            answer = json.loads(body)
            choice, usage = answer["choices"][0], answer.get("usage") or {}
            content = choice["message"]["content"]
            counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            said = _shortened(body.decode("utf-8", "replace"))
            raise _Garbled(f"{self.url}: answered with no chat completion: {said}; check the endpoint") from error
        if not isinstance(content, str):
            ended = choice.get("finish_reason")
            raise RefusedRequest(f"{self.url}: answered without a text (finish_reason {ended!r})")
        return Completion(content, *(count if isinstance(count, int) else None for count in counts))

    def _refusal(self, error) -> EndpointError:
        """What a server said that will not answer, or did not after all tries."""
        code, response = error.status_code, error.response
        said = f"{self.url}: {code} {response.reason_phrase}{_words(response.content)}"
        if code in ABOUT_THE_MESSAGES:
            return RefusedRequest(said)
        return EndpointError(said + (_after_tries(error) if code >= 500 or code in RETRIED else HINTS.get(code, "")))

    def _unreachable(self, error) -> str:
        import openai

        if isinstance(error, openai.APITimeoutError):
            return f"{self.url}: no answer within {self.timeout_s:g} s"
        *_, reason = causes(error)  # the client's own words say no more than that there was a problem
        said = os.strerror(reason.errno) if isinstance(reason, ConnectionError) and reason.errno else str(reason)
        return f"{self.url}: no connection ({_shortened(said) or type(reason).__name__})"


class _Requests:
    """The requests of a client, each a task of its loop. `why` says why nothing more is asked, once that is so."""

    def __init__(self):
        self.why, self._tasks, self._sent = "", set(), set()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Around all tries of the task that calls it."""
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)
            self._sent.discard(task)

    async def on_request(self, request) -> None:
        """Called before each try."""
        if self.why:
            raise asyncio.CancelledError
        self._sent.add(asyncio.current_task())

    async def on_response(self, response) -> None:
        """Called when a response begins; one of an error may be followed by a wait for another try."""
        if response.is_error:
            self._sent.discard(asyncio.current_task())

    def end_waiting(self) -> None:
        """End all but those that are being answered, which may be whole soon."""
        for task in self._tasks - self._sent:
            task.cancel()


def _open_client(url: str, api_key: str, timeout_s: float, retries: int, requests: _Requests):
    try:
        import openai
    except ImportError as error:
        raise ImportError('asking a server needs the `openai` package: pip install "openai>=1.98"') from error
    parts = urllib.parse.urlsplit(url)
    http_client = openai.DefaultAsyncHttpxClient(
        timeout=timeout_s,
        trust_env=parts.hostname not in LOOPBACK,  # a proxy of the environment cannot reach this machine's own servers
        event_hooks={"request": [requests.on_request], "response": [requests.on_response]},
    )
    return openai.AsyncOpenAI(
        base_url=urllib.parse.urlunsplit(parts._replace(path=parts.path.removesuffix(PATH), query="")),
        api_key=api_key,
        timeout=timeout_s,
        max_retries=retries,
        default_query=dict(urllib.parse.parse_qsl(parts.query)),
        http_client=http_client,
    )


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


async def _close(client, loop: asyncio.AbstractEventLoop) -> None:
    await client.close()
    loop.stop()


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
    return urllib.parse.urlunsplit(parts._replace(path=path.removesuffix(PATH) + PATH, fragment=""))


def _after_tries(error) -> str:
    """How often a request was sent that failed for good, for the message."""
    tries = int(error.request.headers.get(TRIES_BEFORE, 0)) + 1
    return f", after {tries} {'try' if tries == 1 else 'tries'}"


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


class EndpointAnswerer(Answerer):
    """
    A model behind a server: evenly spread frames as JPEG pictures, then the question; several requests at a time.

    Args:
        client (`ChatClient`): The server.
        num_frames (`int`, *optional*, defaults to 16): Frames of a segment.
        max_new_tokens (`int`, *optional*, defaults to 1024): Longest answer.
        concurrency (`int`, *optional*, defaults to 8): Requests under way at a time.
        frames_as (`str`, *optional*, defaults to `"auto"`): `"images"`, which is what `"auto"` is for a server, or
            `"video"`: all frames in one `data:video/jpeg` address, comma between them, which vLLM shows the model as a
            video and does not sample again.
    """

    asks_together = False

    def __init__(
        self,
        client: ChatClient,
        num_frames: int | None = None,
        max_new_tokens: int | None = None,
        concurrency: int = 8,
        frames_as: str = AUTO,
    ):
        if frames_as not in FRAMES_AS:
            raise ValueError(f"`frames_as` must be one of {', '.join(FRAMES_AS)}, got {frames_as!r}.")
        self.client, self.concurrency, self.frames_as = client, concurrency, frames_as
        self.num_frames = NUM_FRAMES if num_frames is None else num_frames
        self.max_new_tokens = NEW_TOKENS if max_new_tokens is None else max_new_tokens

    def look(self, segment: Segment) -> list[dict]:
        """The frames of a segment as parts of a message."""
        return frame_parts(middle_frames(segment, self.num_frames), self.frames_as)

    def prompt_length(self, question: str) -> int:
        """Characters of a question: the server has the tokenizer."""
        return len(question)

    def answer(self, seen: list, questions: list[str]) -> Iterator[tuple[int, Reply]]:
        """Answers at temperature 0 by place, as they come; `seen[i]` is what question `i` is about.

        Raises:
            `EndpointError`: behind the answers that came, if the server cannot be reached or refuses everything.
        """
        problem = None
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(self._answer_one, *asked) for asked in zip(seen, questions)]
            places = {future: place for place, future in enumerate(futures)}
            try:
                for future in as_completed(places):
                    if isinstance(error := future.exception(), EndpointError):
                        problem = problem or error
                    else:
                        yield places[future], future.result()
            except BaseException:  # Ctrl-C, or the caller goes no further
                self.client.stop("stopped")
                raise
        if problem is not None:
            raise problem

    def _answer_one(self, pictures: list[dict], question: str) -> Reply:
        try:
            return self.complete(pictures, question).text
        except RefusedRequest as error:
            return error

    def complete(self, seen: list[dict], question: str) -> Completion:
        """The answer to one question, with the tokens that it took."""
        messages = [{"role": "user", "content": [*seen, {"type": "text", "text": question}]}]
        answer = self.client.ask(messages, self.max_new_tokens)
        return dataclasses.replace(answer, text=answer.text.strip())


def load_endpoint(
    endpoint: str,
    model: str,
    num_frames: int | None = None,
    max_new_tokens: int | None = None,
    api_key: str | None = None,
    timeout_s: float = 300.0,
    retries: int = 5,
    concurrency: int = 8,
    frames_as: str = AUTO,
) -> EndpointAnswerer:
    """The answerer of a model behind a server. Arguments are those of [`ChatClient`] and [`EndpointAnswerer`]."""
    client = ChatClient(endpoint, model, api_key, timeout_s, retries)
    return EndpointAnswerer(client, num_frames, max_new_tokens, concurrency, frames_as)


class EndpointWriter(Writer):
    """A language model behind a server.

    Args:
        client (`ChatClient`): The server.
        max_new_tokens (`int`, *optional*, defaults to 1024): Longest text.
    """

    def __init__(self, client: ChatClient, max_new_tokens: int | None = None):
        self.client = client
        self.max_new_tokens = NEW_TOKENS if max_new_tokens is None else max_new_tokens

    def write(self, prompt: str, schema: dict | None = None) -> Completion:
        """The model's text, of the form of `schema` where the server takes one; errors are those of
        [`ChatClient.ask`]."""
        answer = self.client.ask([{"role": "user", "content": prompt}], self.max_new_tokens, schema=schema)
        return dataclasses.replace(answer, text=answer.text.strip())
