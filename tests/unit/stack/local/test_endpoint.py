"""Which model endpoint is chosen, and how its model is named to the stack."""

import os

import httpx
import pytest

from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local.model_endpoint import Endpoint, chat_models, model_beside, named_endpoint, stack_model
from k8gentai.stack.local.settings import take_stack_api_key

SOME = Endpoint("http://model.test/v1", "key", "a test")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, httpx.Response]:
    """What each URL answers; any other refuses the connection."""
    known: dict[str, httpx.Response] = {}

    def get(url: str, **_: object) -> httpx.Response:
        if url not in known:
            raise httpx.ConnectError("connection refused")
        known[url].request = httpx.Request("GET", url)
        return known[url]

    monkeypatch.setattr(httpx, "get", get)
    return known


def models(*names: str) -> httpx.Response:
    return httpx.Response(200, json={"object": "list", "data": [{"id": name} for name in names]})


@pytest.mark.parametrize(
    ("environment", "url", "key"),
    [
        ({"OPENAI_BASE_URL": "http://a/v1/", "OLLAMA_URL": "http://b"}, "http://a/v1", "none"),
        ({"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_KEY": "k"}, "http://a/v1", "k"),
        ({"OPENAI_API_KEY": "k", "OLLAMA_URL": "http://b"}, "https://api.openai.com/v1", "k"),
        ({"OLLAMA_URL": "http://b:1"}, "http://b:1/v1", "none"),
        ({"OLLAMA_URL": "http://b:1/v1/"}, "http://b:1/v1", "none"),
    ],
)
def test_the_environment_comes_first(
    environment: dict[str, str], url: str, key: str, answers: dict[str, httpx.Response]
) -> None:
    answers["http://127.0.0.1:11434/v1/models"] = models("llama")
    chosen = named_endpoint(environment)
    assert chosen is not None
    assert (chosen.base_url, chosen.api_key) == (url, key)


def test_a_key_from_a_file_of_secrets_has_no_end_of_line(answers: dict[str, httpx.Response]) -> None:
    chosen = named_endpoint({"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_KEY": "sk-1\n"})
    assert chosen is not None
    assert chosen.api_key == "sk-1"


@pytest.mark.parametrize("key", ["sk-1\nx", "sk-\u00e9", "sk-\x7f1"])
def test_a_key_that_cannot_be_sent_is_named_and_not_told(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetUpError, match="OPENAI_API_KEY is no key: ") as caught:
        named_endpoint({"OPENAI_API_KEY": key})
    assert "sk-" not in str(caught.value)
    monkeypatch.setenv("AMF_STACK_API_KEY", key)
    with pytest.raises(SetUpError, match="AMF_STACK_API_KEY is no key: ") as caught:
        take_stack_api_key()
    assert "sk-" not in str(caught.value)
    assert "AMF_STACK_API_KEY" not in os.environ


def test_an_ollama_with_a_model_comes_next(answers: dict[str, httpx.Response]) -> None:
    assert named_endpoint({}) is None
    answers["http://127.0.0.1:11434/v1/models"] = httpx.Response(200, json={"data": None})
    assert named_endpoint({}) is None
    answers["http://127.0.0.1:11434/v1/models"] = models("llama3.2:3b")
    chosen = named_endpoint({"OPENAI_BASE_URL": ""})
    assert chosen is not None
    assert chosen.base_url == "http://127.0.0.1:11434/v1"


def test_models_that_do_not_chat_are_left_out(answers: dict[str, httpx.Response]) -> None:
    answers["http://model.test/v1/models"] = models("text-embedding-3-small", "whisper-1", "gpt-5")
    assert chat_models(SOME) == ["gpt-5"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "does not answer"),
        (httpx.Response(401), "refuses the key"),
        (httpx.Response(404), "does not list its models"),
        (httpx.Response(200, text="<html>"), "does not list its models"),
    ],
)
def test_an_endpoint_that_is_of_no_use_is_named(
    answer: httpx.Response | None, message: str, answers: dict[str, httpx.Response]
) -> None:
    if answer is not None:
        answers["http://model.test/v1/models"] = answer
    with pytest.raises(SetUpError, match=rf"http://model.test/v1 \(from a test\) {message}"):
        chat_models(SOME)


@pytest.mark.parametrize(
    ("wanted", "listed", "expected"),
    [
        (None, ["first", "second"], "openai/first"),
        ("second", ["first", "second"], "openai/second"),
        ("openai/second", ["first", "second"], "openai/second"),
        ("openai/gpt", ["openai/gpt"], "openai/openai/gpt"),
        ("meta/llama", [], "openai/meta/llama"),
    ],
)
def test_the_model_is_named_as_the_stack_knows_it(wanted: str | None, listed: list[str], expected: str) -> None:
    assert stack_model(wanted, listed, SOME) == expected


@pytest.mark.parametrize(
    ("wanted", "started_with", "expected"),
    [
        (None, "second", "openai/first"),
        ("first", None, "openai/first"),
        ("openai/first", None, "openai/first"),
        # One that is not there today: it went on with another.
        ("second", "second", "openai/first"),
        ("second", "first", "openai/second"),
        ("openai/second", "first", "openai/second"),
    ],
)
def test_a_model_is_named_as_the_running_stack_knows_it(
    wanted: str | None, started_with: str | None, expected: str
) -> None:
    assert model_beside("openai/first", wanted, started_with) == expected


def test_no_model_at_all_is_told() -> None:
    with pytest.raises(SetUpError, match="set INFERENCE_MODEL"):
        stack_model(None, [], SOME)
