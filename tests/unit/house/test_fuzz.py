"""Whatever a client sends, right or wrong: an answer in the API's own shape, and nothing half done."""

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import assume
from openresponses_types.types import ResponseResource
from schemathesis.config import SchemathesisConfig

from k8gentai.agents.adapters.base.messages import to_messages
from k8gentai.agents.adapters.llama_stack.request import build_request
from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.turn import RequestError
from k8gentai.agents.resources.agent import implicit_agent
from k8gentai.workers.queue.admission import Terms
from k8gentai.workers.queue.record import AcceptedTurn
from tests.support.fuzzing import described, valid_turns
from tests.support.providers import Floor, client_of, floor

EXAMPLES = 10
"""Requests a route. With 100, say, it is a search for errors not known yet."""

TURNS = 60
"""Requests for turns that are right."""


def config(examples: int, mode: str) -> SchemathesisConfig:
    """What is generated: so many requests a route, right ones (``positive``) or wrong ones too (``all``)."""
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "generation": {
                "deterministic": True,
                "database": "none",
                "max-examples": examples,
                "mode": mode,
                "no-shrink": True,
            },
            # Every value of every field in turn: thousands of requests for one route.
            "phases": {"coverage": {"enabled": False}},
        }
    )


# The routes of /v1alpha are the same code as those of /v1.
schema = schemathesis.openapi.from_dict(described(), config=config(EXAMPLES, "all")).exclude(
    path_regex="^/v1alpha"
)
turns = schemathesis.openapi.from_dict(valid_turns(), config=config(TURNS, "positive"))

ASKS_CLIENT: list[ev.Event] = [
    ev.TurnStarted(attempt=1, worker="w"),
    ev.StepStarted(step_id="s0", kind="inference", at=1.0),
    ev.ToolCall(call_id="c1", name="get_weather", arguments='{"town": "Ghent"}', side="client"),
    ev.StepCompleted(step_id="s0", kind="inference", at=2.0),
    ev.TurnCompleted(),
]

AGENT = implicit_agent("m")

NO_ROUTE = ({"detail": "Not Found"}, {"detail": "Method Not Allowed"})
"""An empty id, or one with a slash, makes a path that is no route of ours."""


class Served:
    """A floor in an event loop of its own, whose turns end at once, and a client of it."""

    def __init__(self, runner: asyncio.Runner, served: Floor, client: httpx.AsyncClient) -> None:
        self._runner = runner
        self._client = client
        self.turns = served.turns
        self._accept = served.turns.accept
        served.turns.accept = self._accept_and_end  # type: ignore[method-assign]

    def send(self, method: str, url: str, **rest: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, url, **rest))

    def ids(self) -> dict[str, str]:
        """A created agent with a session, and a turn in it that waits for its client."""
        agent = {"agent_config": {"model": "openai/gpt-4o", "instructions": "Be brief."}}
        agent_id = self.send("POST", "/v1/agents", json=agent).json()["agent_id"]
        url = f"/v1/agents/{agent_id}/session"
        session_id = self.send("POST", url, json={"session_name": "test"}).json()["session_id"]
        messages = {"messages": [{"role": "user", "content": "Hot?"}]}
        turn = self.send("POST", f"{url}/{session_id}/turn", json=messages).json()
        return {
            "known-agent": agent_id,
            "known-session": session_id,
            "known-turn": turn["turn_id"],
            "known-step": turn["steps"][0]["step_id"],
        }

    async def _accept_and_end(self, accepted: AcceptedTurn, load_history: Any, terms: Terms) -> str:
        # As Redis would keep it.
        json.loads(accepted.model_dump_json())
        turn_id = await self._accept(accepted, load_history, terms)
        if self.turns.records[turn_id].status == "queued":
            await self.turns.append(turn_id, *ASKS_CLIENT)
        return turn_id


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory: Path = tmp_path_factory.mktemp("fuzz")
    stack = AsyncExitStack()

    async def enter() -> tuple[Floor, httpx.AsyncClient]:
        made = await stack.enter_async_context(floor(directory))
        return made, await stack.enter_async_context(client_of(made))

    with asyncio.Runner() as runner:
        yield Served(runner, *runner.run(enter()))
        runner.run(stack.aclose())


@schema.parametrize()
def test_any_request_is_answered(case: schemathesis.Case, served: Served) -> None:
    request = request_of(case, served)
    before = set(served.turns.records)
    answer = served.send(**request)
    check(answer, classic="/v1/responses" not in case.path)
    if answer.status_code >= 400:
        assert set(served.turns.records) == before


IN_NO_SCHEMA = re.compile(r"input|input\[\d+\]\.(call_id|(content|output)\[\d+\])")
"""What is refused though the schema has it: no input at all, an output without its call, an image without one."""


@turns.parametrize()
def test_a_turn_that_is_right_reaches_its_agent(case: schemathesis.Case, served: Served) -> None:
    answer = served.send(**request_of(case, served))
    assume(answer.status_code == 200 or not IN_NO_SCHEMA.fullmatch(answer.json()["error"]["param"] or ""))
    assert answer.status_code == 200, answer.text
    response = last_response(answer)
    assert response["status"] == "completed"
    ResponseResource.model_validate(response)
    turn = served.turns.records[response["id"]].turn
    for translate in (lambda: to_messages(turn.input, turn.instructions), lambda: build_request(AGENT, turn, "m")):
        # An agent may say that it cannot; it never breaks.
        with contextlib.suppress(RequestError):
            translate()


def last_response(answer: httpx.Response) -> dict[str, Any]:
    """The response that a request came to, streamed or not."""
    if answer.headers["content-type"] == "application/json":
        return answer.json()
    *_, last, done, _ = answer.text.split("\r\n\r\n")
    assert done == "data: [DONE]"
    return json.loads(last.partition("data: ")[2])["response"]


def request_of(case: schemathesis.Case, served: Served) -> dict[str, Any]:
    """The case as a request, with the ids of what there is."""
    if "known-" in repr((case.path_parameters, case.query, case.body)):
        ids = served.ids()
        case.path_parameters = named(case.path_parameters, ids)
        case.query = named(case.query, ids)
        case.body = named(case.body, ids)
    request = case.as_transport_kwargs(base_url="http://stack")
    del request["cookies"]
    if "data" in request:
        # What httpx calls by another name than requests.
        request["content"] = request.pop("data")
    return request


def named(value: Any, ids: dict[str, str]) -> Any:
    """The value with ids for the names of what there is."""
    if isinstance(value, dict):
        return {name: named(inner, ids) for name, inner in value.items()}
    if isinstance(value, list):
        return [named(inner, ids) for inner in value]
    return ids.get(value, value) if isinstance(value, str) else value


def check(answer: httpx.Response, *, classic: bool) -> None:
    """That the answer is one of the API's: an error names what is wrong, in the API's shape."""
    assert answer.status_code < 500 or answer.status_code in (501, 503), answer.text
    if answer.status_code < 400 or answer.json() in NO_ROUTE:
        assert "internal_error" not in answer.text
        return
    assert answer.json().keys() == {"error"}
    error = answer.json()["error"]
    assert error.keys() == {"message", "code", "param", "detail" if classic else "type"}
    assert error["message"]
    assert error["code"]
    assert error["param"] or answer.status_code != 400 or error["message"].startswith("The body"), error
