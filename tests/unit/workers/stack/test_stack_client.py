"""The worker's one client of the stack: who a request is made for, and when it is sent again."""

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from k8gentai.workers.queue.grants import PARENT_HEADER, Parent, verified
from k8gentai.workers.stack import client as client_module
from k8gentai.workers.stack.client import StackClient, StackRefusedError
from k8gentai.workers.stack.credentials import Caller, SignedGrants, StaticKey
from tests.support.gateway import ANSWER, Bench

CALLER = Caller("resp_1", 2, {"traceparent": "00-1"})
GRANT = Parent(turn_id="resp_1", depth=1, tokens=None, deadline=9.0)


class Tickets:
    """Credentials of which each is worth one request."""

    def __init__(self) -> None:
        self.given: list[Caller | None] = []

    async def headers(self, caller: Caller | None) -> dict[str, str]:
        self.given.append(caller)
        return {"authorization": f"Ticket {len(self.given)}"}


class Secrets:
    """The part of Redis that has the secret for signing."""

    async def set(self, *_: Any, **__: Any) -> None: ...

    async def get(self, _: str) -> bytes:
        return b"secret"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client waited before it asked again; it does not wait in fact."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(client_module, "asyncio", SimpleNamespace(sleep=sleep, timeout=asyncio.timeout))
    return waited


def stack(
    *answers: httpx.Response | Exception, credentials: Any = None
) -> tuple[StackClient, list[httpx.Request]]:
    """A client whose stack answers so, one request after another, and the requests."""
    left, asked = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    transport = httpx.MockTransport(answer)
    return StackClient("http://stack", credentials or StaticKey("key"), transport=transport), asked


async def test_each_try_has_a_credential_of_its_own_for_the_attempt(pauses: list[float]) -> None:
    credentials = Tickets()
    client, asked = stack(httpx.Response(503), httpx.Response(200, json={"id": "resp_2"}), credentials=credentials)
    assert await client.respond({"input": "hi"}, "key", CALLER) == {"id": "resp_2"}
    assert [request.headers["authorization"] for request in asked] == ["Ticket 1", "Ticket 2"]
    assert credentials.given == [CALLER, CALLER]
    for request in asked:
        assert (request.url.path, json.loads(request.content)) == ("/v1/responses", {"input": "hi"})
        assert (request.headers["idempotency-key"], request.headers["traceparent"]) == ("key", "00-1")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_model_call_names_its_turn_to_the_credentials(streamed: bool) -> None:
    credentials = Tickets()
    whole = json.dumps({**ANSWER, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    bench = Bench(
        lambda _: httpx.Response(200, text=f"data: {whole}\n\n") if streamed else httpx.Response(200, json=ANSWER),
        credentials=credentials,
    )
    assert (await bench.post({"model": "gpt-4o", "stream": streamed})).status_code == 200
    # The list of models is the worker's own request.
    assert credentials.given == [None, Caller("resp_1", 1)]
    assert bench.asked[0].headers["authorization"] == "Ticket 2"


async def test_a_grant_is_signed_and_a_call_without_one_has_the_key_alone() -> None:
    secrets: Any = Secrets()
    credentials = SignedGrants("key", secrets)
    plain = {"authorization": "Bearer key"}
    assert await credentials.headers(None) == await credentials.headers(CALLER) == plain
    headers = await credentials.headers(Caller("resp_1", 2, grant=GRANT))
    assert headers["authorization"] == "Bearer key"
    assert verified(headers[PARENT_HEADER], b"secret") == GRANT
    assert await SignedGrants(None, secrets).headers(None) == {}


def refusal(status: int, code: str = "", **headers: str) -> Callable[[], httpx.Response]:
    error = {"message": "no", "code": code}
    return lambda: httpx.Response(status, json={"error": error}, headers=headers)


@pytest.mark.parametrize(
    ("first", "pause"),
    [
        (refusal(429), 0.5),
        (refusal(429, **{"retry-after": "3"}), 3.0),
        (refusal(503, **{"retry-after": "600"}), 10.0),
        (refusal(503, **{"retry-after": "soon"}), 0.5),
        (refusal(503, "server_stopping", **{"x-should-retry": "false"}), 0.5),
        (lambda: httpx.ConnectError("refused"), 0.5),
        (lambda: httpx.ConnectTimeout("refused"), 0.5),
        (lambda: httpx.RemoteProtocolError("hung up"), 0.5),
        (lambda: httpx.ReadTimeout("silent"), 0.0),
    ],
)
async def test_what_passes_is_waited_for(first: Callable[[], Any], pause: float, pauses: list[float]) -> None:
    client, asked = stack(first(), httpx.Response(200, json={}))
    assert await client.post("/v1/x", {}, CALLER) == {}
    assert (len(asked), pauses) == (2, [pause])


async def test_a_stack_that_refuses_is_asked_more_and_more_rarely(pauses: list[float]) -> None:
    client, asked = stack(*(refusal(503)() for _ in range(7)), httpx.Response(200, json={}))
    assert await client.post("/v1/x", {}, CALLER) == {}
    assert (len(asked), pauses) == (8, [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0])


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([], "the stack did not answer within 0.01 s"),
        ([httpx.ConnectError("refused")], "the stack did not answer within 0.01 s"),
        ([refusal(503)()], "no (for 0.01 s)"),
        ([refusal(503)(), httpx.ConnectError("refused")], "the stack did not answer within 0.01 s"),
    ],
)
async def test_the_end_of_patience_tells_what_the_stack_said_last(
    answers: list[Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        given: Any = answers.pop(0) if answers else await asyncio.Event().wait()
        if isinstance(given, Exception):
            raise given
        # At the last one the client waits for longer than it may.
        monkeypatch.setattr(client_module, "KNOCK_SECONDS", 0.0 if answers else 60.0)
        return given

    client = StackClient("http://stack", StaticKey(), transport=httpx.MockTransport(answer))
    with pytest.raises(StackRefusedError) as refused:
        await client.post("/v1/x", {}, CALLER, seconds=0.01)
    assert (str(refused.value), refused.value.is_passing) == (message, True)


NO_JSON = "the stack answered /v1/x with 200 and no JSON object ({})"


@pytest.mark.parametrize(
    ("answer", "message", "code", "is_passing"),
    [
        (refusal(400, "bad")(), "no", "bad", False),
        (refusal(404)(), "no", "", False),
        (refusal(401)(), "no", "", True),
        (refusal(500)(), "no", "", True),
        (refusal(503, **{"x-should-retry": "false"})(), "no", "", True),
        (httpx.Response(422, json={"detail": "text: is missing"}), "text: is missing", "", False),
        (httpx.Response(413, text="<html>"), "the stack answered 413", "", False),
        # A proxy's page, which another time is not there.
        (httpx.Response(200, html="<html>"), NO_JSON.format("text/html; charset=utf-8"), "", True),
        (httpx.Response(200, json=[]), NO_JSON.format("application/json"), "", True),
        (httpx.Response(200, text='{"id": "re'), NO_JSON.format("text/plain; charset=utf-8"), "", True),
        (httpx.Response(204), NO_JSON.format("no content-type").replace("200", "204"), "", True),
        (httpx.LocalProtocolError("b'sk-1'"), "the request cannot be sent (LocalProtocolError)", "", False),
    ],
)
async def test_a_refusal_is_raised(answer: Any, message: str, code: str, is_passing: bool) -> None:
    client, asked = stack(answer)
    with pytest.raises(StackRefusedError) as refused:
        await client.post("/v1/x", {}, CALLER)
    assert (str(refused.value), refused.value.code, refused.value.is_passing) == (message, code, is_passing)
    assert len(asked) == 1
