"""The client of chat completions: what it sends, what it tries again, what it says when it gives up."""

import doctest
import email.utils
import time

import pytest

from eval import openai_client
from eval.openai_client import ChatClient, EndpointError, RefusedRequest, chat_url
from tests.chat_server import chat_server, completion


MESSAGES = [{"role": "user", "content": "Is a parade an anomaly?"}]


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The waits between tries, which are not waited for."""
    found = []
    monkeypatch.setattr(openai_client.time, "sleep", found.append)
    return found


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


def test_tries_again_after_longer_waits(waits):
    statuses = [429, 500, 503, 200]
    with chat_server(lambda asked, number: (statuses[number], completion("No."))) as (url, asked):
        assert ChatClient(url, "judge").complete(MESSAGES, 8) == "No."
    assert len(asked) == 4 and len({str(request.body) for request in asked}) == 1
    assert [0.5 * 2**i <= wait <= 0.75 * 2**i for i, wait in enumerate(waits)] == [True] * 3


def test_waits_as_the_server_says(waits):
    later = email.utils.formatdate(time.time() + 30, usegmt=True)
    headers = [{"Retry-After": 7}, {"Retry-After": later}, {"Retry-After": "soon"}, {"Retry-After": 999}, {}]
    with chat_server(lambda asked, number: (429, b"", headers[number])) as (url, _):
        with pytest.raises(EndpointError, match="429 Too Many Requests, after 5 tries"):
            ChatClient(url, "judge", retries=4).complete(MESSAGES, 8)
    assert waits[0] == 7 and 25 < waits[1] <= 30 and 2 <= waits[2] <= 3 and waits[3] == 60


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
        (200, b"<html>a web page", EndpointError, "answered with no chat completion: <html>a web page"),
        (200, {"choices": []}, EndpointError, "answered with no chat completion"),
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


def test_no_answer_in_time():
    def slow(asked, number):
        time.sleep(0.3)
        return 200, completion("late")

    with chat_server(slow) as (url, _):
        with pytest.raises(EndpointError, match="no answer within 0.1 s, after 1 try"):
            ChatClient(url, "judge", timeout_s=0.1, retries=0).complete(MESSAGES, 8)


def test_no_server_and_half_an_answer(waits):
    with chat_server(lambda asked, number: (200, b"{", {"Content-Length": 100})) as (url, asked):
        with pytest.raises(EndpointError, match="no connection .*, after 3 tries"):
            ChatClient(url, "judge", retries=2).complete(MESSAGES, 8)
        assert len(asked) == 3
    with pytest.raises(EndpointError, match=r"no connection \(.*refused.*\), after 6 tries"):
        ChatClient(url, "judge").complete(MESSAGES, 8)  # it is gone
    assert len(waits) == 2 + 5


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"retries": -1}])
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match="`timeout_s` must be above 0 and `retries` 0 or more"):
        ChatClient("http://host", "judge", **options)
