"""A moderation endpoint as a guardrail: what it blocks, and what becomes of a text that it does not judge."""

from collections.abc import AsyncIterator

import httpx
import pytest

from k8gentai.providers.errors import ApiError
from k8gentai.providers.requests.guardrails import ENDPOINT, Guardrails, ModerationEndpoint
from tests.scripted import ScriptedModel
from tests.support.host_apis import Safety


@pytest.fixture
async def guardrails(model: ScriptedModel) -> AsyncIterator[Guardrails]:
    made = Guardrails(Safety(), ModerationEndpoint(f"{model.base_url}/moderations"))
    yield made
    await made.close()


async def test_it_blocks_what_it_flags(guardrails: Guardrails) -> None:
    why = await guardrails.violation("Buy a sword.", ENDPOINT)
    assert why == "Content blocked by safety guardrails (flagged for: violence)"
    assert await guardrails.violation("Buy bread.", ENDPOINT) is None


async def test_it_stands_beside_the_shields_of_the_host(guardrails: Guardrails) -> None:
    assert await guardrails.names(["peace", {"type": ENDPOINT}]) == ["peace", ENDPOINT]
    assert await guardrails.names(True) == [ENDPOINT]
    assert await guardrails.violation("Buy a sword.", "peace") == "No. (flagged for: arms)"
    with pytest.raises(ApiError, match="there are: moderation, peace"):
        await guardrails.names(["war"])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(500, json={"error": {"message": "The judge is ill."}}), "answers 500: The judge is ill."),
        (httpx.Response(429, json={"detail": "too many"}), "answers 429: too many."),
        (httpx.Response(503, text="<html>"), "answers 503."),
        (httpx.Response(500, json=[]), "answers 500."),
    ],
)
async def test_an_endpoint_that_cannot_judge_now_says_why(
    answer: httpx.Response, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = ModerationEndpoint("http://judge")
    monkeypatch.setattr(endpoint, "_client", httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)))
    with pytest.raises(ApiError) as failed:
        await endpoint.violation("Buy bread.")
    assert (failed.value.status_code, failed.value.message) == (503, f"The moderation endpoint {message}")
    await endpoint.close()


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [("models", 400, "and no moderation"), ("gone", 400, "answers 404"), (None, 503, "does not answer")],
)
async def test_what_it_does_not_judge_is_not_let_through(
    model: ScriptedModel, path: str | None, status: int, message: str, unused_tcp_port: int
) -> None:
    url = f"{model.base_url}/{path}" if path else f"http://127.0.0.1:{unused_tcp_port}"
    endpoint = ModerationEndpoint(url, "key")
    with pytest.raises(ApiError, match=message) as failed:
        await endpoint.violation("Buy bread.")
    assert failed.value.status_code == status
    await endpoint.close()
