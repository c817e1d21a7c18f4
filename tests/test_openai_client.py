"""The client of chat completions: what it sends, what it tries again, what it says when it gives up."""

import doctest
import email.utils
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from modeling_holmes_vau.answering import Completion
from modeling_holmes_vau.answering import endpoint as openai_client
from modeling_holmes_vau.answering.endpoint import ChatClient, EndpointError, RefusedRequest, chat_url
from tests.chat_server import chat_server, completion


MESSAGES = [{"role": "user", "content": "Is a parade an anomaly?"}]


def test_examples():
    assert doctest.testmod(openai_client)[0] == 0


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://host:8000", "http://host:8000/v1/chat/completions"),
        ("http://host:8000/", "http://host:8000/v1/chat/completions"),
        ("https://host/v1", "https://host/v1/chat/completions"),
        ("https://host/openai/v1/chat/completions", "https://host/openai/v1/chat/completions"),
        ("https://host/v1?version=2", "https://host/v1/chat/completions?version=2"),
    ],
)
def test_address(endpoint, url):
    assert chat_url(endpoint) == url


@pytest.mark.parametrize("endpoint", ["host:8000", "ftp://host", "http://", "http://host:port", ""])
def test_no_address(endpoint):
    with pytest.raises(ValueError, match="`endpoint` must be an address like http://localhost:8000/v1"):
        chat_url(endpoint)


def test_what_is_sent():
    with chat_server(lambda asked, number: (200, completion("No."))) as (url, asked):
        assert ChatClient(url, "judge", api_key=" secret\n").complete(MESSAGES, 8) == "No."
        assert ChatClient(url, "judge").complete(MESSAGES, 8, temperature=0.5) == "No."
    first, second = asked
    assert first.path == "/v1/chat/completions" and first.headers["Authorization"] == "Bearer secret"
    assert first.body == {"model": "judge", "messages": MESSAGES, "max_tokens": 8, "temperature": 0.0}
    assert second.headers["Authorization"] is None and second.body["temperature"] == 0.5


def test_tries_again_after_longer_waits():
    statuses, times = [429, 503, 200], []

    def answer(asked, number):
        times.append(time.monotonic())
        return statuses[number], completion("No.")

    with chat_server(answer) as (url, asked):
        assert ChatClient(url, "judge").complete(MESSAGES, 8) == "No."
    assert len(asked) == 3 and len({str(request.body) for request in asked}) == 1
    first, second = (after - before for before, after in zip(times, times[1:]))
    assert first > 0.3 and second > 0.6  # at least: half a second, then a second, each a little less at random


@pytest.mark.parametrize("in_words", [False, True])
def test_waits_as_the_server_says(in_words):
    times = []

    def answer(asked, number):
        times.append(time.monotonic())
        later = email.utils.formatdate(time.time() + 3, usegmt=True)  # whole seconds
        return (429, b"", {"Retry-After": later if in_words else 2}) if number == 0 else (200, completion("No."))

    with chat_server(answer) as (url, _):
        assert ChatClient(url, "judge").complete(MESSAGES, 8) == "No."
    assert times[1] - times[0] > 1.9


@pytest.mark.parametrize("key", ["se\ncret", "schlüssel"])
def test_a_key_that_no_header_carries_is_not_shown(key):
    with pytest.raises(ValueError, match="on one line") as caught:
        ChatClient("http://localhost:1", "judge", key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (401, {"error": {"message": "wrong key", "code": 1}}, EndpointError, "401 Unauthorized: wrong key; pass the"),
        (404, {"detail": "no model of that name"}, EndpointError, "no model of that name; check the address and the"),
        (403, b"<html>\nforbidden</html>", EndpointError, "403 Forbidden: <html> forbidden</html>; check the key"),
        (400, {"error": {"message": "too\nlong"}}, RefusedRequest, "400 Bad Request: too long"),
        (422, {"detail": [{"type": "missing"}]}, RefusedRequest, '[{"type": "missing"}]'),
        (400, b"x" * 5000, RefusedRequest, "x" * 300 + "..."),
        (200, completion(None), RefusedRequest, "answered without a text (finish_reason 'stop')"),
    ],
)
def test_refusals_are_not_repeated(status, body, error, said):
    with chat_server(lambda asked, number: (status, body)) as (url, asked):
        with pytest.raises(EndpointError) as caught:
            ChatClient(url, "judge", api_key="secret").complete(MESSAGES, 8)
    assert type(caught.value) is error and len(asked) == 1
    assert said in str(caught.value) and url in str(caught.value)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>a web page", {"choices": []}, {"choices": 3}, [], b'{"choices": [{"mess'])
def test_what_is_no_chat_completion_is_asked_for_again(body):
    with chat_server(lambda asked, number: (200, body if number < 2 else completion("No."))) as (url, asked):
        assert ChatClient(url, "judge").complete(MESSAGES, 8) == "No." and len(asked) == 3
    for retries, tries in ((5, 3), (1, 2), (0, 1)):
        with chat_server(lambda asked, number: (200, body)) as (url, asked):
            with pytest.raises(EndpointError, match="answered with no chat completion.*; check the endpoint"):
                ChatClient(url, "judge", retries=retries).complete(MESSAGES, 8)
            assert len(asked) == tries


def test_tokens_are_counted_where_the_server_counts_them():
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    with chat_server(lambda asked, number: (200, {**completion("No."), "usage": usage})) as (url, _):
        assert ChatClient(url, "judge").ask(MESSAGES, 8) == Completion("No.", 7, 2)
    with chat_server(lambda asked, number: (200, {**completion("No."), "usage": None})) as (url, _):
        assert ChatClient(url, "judge").ask(MESSAGES, 8) == Completion("No.")


@pytest.mark.parametrize(
    "refusal", ["Unknown parameter: 'response_format'", "json_schema is not supported", "guided decoding is off"]
)
def test_a_schema_goes_to_servers_that_take_one(refusal):
    def answer(asked, number):
        if number == 0 or "response_format" not in asked.body:
            return 200, completion("{}")
        return 400, {"error": {"message": refusal}}

    schema = {"type": "object"}
    with chat_server(answer) as (url, asked):
        client = ChatClient(url, "judge", retries=0)
        assert [client.ask(MESSAGES, 8, schema=schema).text for _ in range(3)] == ["{}"] * 3
    sent = [request.body.get("response_format") for request in asked]
    named = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    assert sent == [named, named, None, None]


NO_LENGTH = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)
NO_TEMPERATURE = "Unsupported value: 'temperature' does not support 0 with this model. Only the default is supported."


def of_today(asked, number) -> tuple[int, dict]:
    """What a server answers whose model takes neither `max_tokens` nor a temperature."""
    if "max_tokens" in asked.body:
        return 400, {"error": {"message": NO_LENGTH, "param": "max_tokens", "code": "unsupported_parameter"}}
    if "temperature" in asked.body:
        return 400, {"error": {"message": NO_TEMPERATURE, "param": "temperature", "code": "unsupported_value"}}
    return 200, completion("No.")


def test_parameters_that_a_model_does_not_take(caplog):
    with chat_server(of_today) as (url, asked):
        client = ChatClient(url, "judge", retries=0)  # another parameter is no try more
        assert client.complete(MESSAGES, 8) == client.complete(MESSAGES, 9) == "No."
    assert [set(request.body) - {"model", "messages"} for request in asked] == [
        {"max_tokens", "temperature"},
        {"max_completion_tokens", "temperature"},
        {"max_completion_tokens"},
        {"max_completion_tokens"},
    ]
    assert asked[-1].body == {"model": "judge", "messages": MESSAGES, "max_completion_tokens": 9}
    (said,) = caplog.messages
    assert said == f"{url}/v1/chat/completions: takes no temperature, so that answers may differ from run to run"


def test_several_threads_learn_what_a_model_takes(caplog):
    together = threading.Barrier(4)

    def answer(asked, number):
        if "max_tokens" in asked.body:
            together.wait(10)  # all are under way before one is refused
        return of_today(asked, number)

    with chat_server(answer) as (url, asked), ThreadPoolExecutor(4) as pool:
        client = ChatClient(url, "judge", retries=0)
        assert list(pool.map(client.complete, [MESSAGES] * 20, range(1, 21))) == ["No."] * 20
    assert sum("max_tokens" in request.body for request in asked) == 4 and len(caplog.messages) == 1
    assert sorted(r.body["max_completion_tokens"] for r in asked if "temperature" not in r.body) == [*range(1, 21)]


@pytest.mark.parametrize(
    "error",
    [
        {"error": "the temperature of the room is not known"},
        {"error": "malformed", "request": {"max_tokens": 8, "temperature": 0.0}},
    ],
)
def test_a_refusal_of_something_else_changes_no_parameter(error):
    with chat_server(lambda asked, number: (400, error)) as (url, asked):
        with pytest.raises(RefusedRequest):
            ChatClient(url, "judge").complete(MESSAGES, 8)
    assert len(asked) == 1


def test_a_parameter_that_is_refused_under_both_names():
    with chat_server(lambda asked, number: (400, {"error": NO_LENGTH})) as (url, asked):
        with pytest.raises(RefusedRequest, match="Use 'max_completion_tokens' instead"):
            ChatClient(url, "judge").complete(MESSAGES, 8)
    assert [set(request.body) & {"max_tokens", "max_completion_tokens"} for request in asked] == [
        {"max_tokens"},
        {"max_completion_tokens"},
    ]


def test_after_an_error_for_good_nothing_is_asked_and_nobody_waits():
    with chat_server(lambda asked, number: (503 if number == 0 else 401, b"", {"Retry-After": 60})) as (url, asked):
        client, started = ChatClient(url, "judge"), time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.complete, MESSAGES, 8)  # for a minute
            while not asked:
                time.sleep(0.01)
            with pytest.raises(EndpointError, match="401 Unauthorized"):
                client.complete(MESSAGES, 8)
            assert "401 Unauthorized" in str(waiting.exception())
        with pytest.raises(EndpointError, match="401 Unauthorized"):
            client.complete(MESSAGES, 8)
        assert len(asked) == 2 and time.monotonic() < started + 30


def test_a_stop_waits_for_what_is_being_answered_and_for_nothing_else():
    begun = threading.Event()

    def slow(asked, number):
        begun.set()
        time.sleep(0.5)
        return 200, completion("Fine.")

    with chat_server(slow) as (url, asked), ThreadPoolExecutor(1) as pool:
        client = ChatClient(url, "judge")
        under_way = pool.submit(client.complete, MESSAGES, 8)
        assert begun.wait(10)
        client.stop("no more")
        assert under_way.result() == "Fine."
        with pytest.raises(EndpointError, match="^no more$"):
            client.complete(MESSAGES, 8)
        assert len(asked) == 1


def test_without_the_package_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match="needs the `openai` package: pip install .openai"):
        ChatClient("http://host", "judge")


def test_neither_keys_nor_proxies_of_the_environment_are_used_for_servers_of_this_machine(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of another")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with chat_server(lambda asked, number: (200, completion("No."))) as (url, asked):
        assert ChatClient(url, "judge", retries=0).complete(MESSAGES, 8) == "No."
    assert asked[0].headers["Authorization"] is None


def test_a_client_that_is_gone_leaves_no_thread(monkeypatch):
    before = threading.active_count()
    with chat_server(lambda asked, number: (200, completion("No."))) as (url, _):
        client = ChatClient(url, "judge")
        assert client.complete(MESSAGES, 8) == "No."
        del client
        deadline = time.monotonic() + 10
        while threading.active_count() > before + 1 and time.monotonic() < deadline:  # the server has one
            time.sleep(0.01)
        assert threading.active_count() <= before + 1


def test_no_answer_in_time():
    def slow(asked, number):
        time.sleep(0.3)
        return 200, completion("late")

    with chat_server(slow) as (url, _):
        with pytest.raises(EndpointError, match="no answer within 0.1 s, after 1 try"):
            ChatClient(url, "judge", timeout_s=0.1, retries=0).complete(MESSAGES, 8)


def test_no_server_and_half_an_answer():
    with chat_server(lambda asked, number: (200, b"{", {"Content-Length": 100})) as (url, asked):
        with pytest.raises(EndpointError, match="no connection .*, after 2 tries"):
            ChatClient(url, "judge", retries=1).complete(MESSAGES, 8)
        assert len(asked) == 2
    with pytest.raises(EndpointError, match=r"no connection \(.*refused.*\), after 2 tries"):
        ChatClient(url, "judge", retries=1).complete(MESSAGES, 8)  # it is gone


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"retries": -1}])
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match="`timeout_s` must be above 0 and `retries` 0 or more"):
        ChatClient("http://host", "judge", **options)
