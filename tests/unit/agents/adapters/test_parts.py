"""What agents do not take of a request is refused: when it comes, or before the first model call."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph

from k8gentai.agents.adapters.base.request_parts import check_text_only, refused_parts
from k8gentai.agents.adapters.langgraph.inputs import graph_input, takes_text
from k8gentai.agents.contract.turn import RequestError, Turn
from k8gentai.agents.registry.registry import write_registry
from tests.support.providers import Floor, agent
from tests.support.responses_api import ANSWER, ASK, parsed

IMAGE = {"type": "input_image", "detail": "auto", "image_url": "data:,"}
WORDS = {"type": "input_text", "text": "What is it?"}
SHOWN = [{"type": "message", "role": "user", "content": "Look."}, {"role": "user", "content": [WORDS, IMAGE]}]
TOOL = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def choosy(served: Floor) -> str:
    """An agent that takes text alone."""
    made = agent("choosy").model_copy(update={"refuses": ["tools", "files"]})
    write_registry(served.registry_path, [made, agent("math")])
    return made.id


@pytest.mark.parametrize(
    ("body", "place"), [({"input": "Go.", "tools": [TOOL]}, "tools"), ({"input": SHOWN}, "input[1].content[1]")]
)
async def test_what_an_agent_is_known_not_to_take_is_a_400(
    client: httpx.AsyncClient, choosy: str, body: dict[str, object], place: str
) -> None:
    answer = await client.post("/v1/responses", json={"model": choosy, "background": True, **body})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, place, "unsupported_parameter")
    assert place in error["message"]
    assert (await client.post("/v1/responses", json={"model": "math", "background": True, **body})).is_success


@pytest.mark.parametrize(
    "tool", [{"type": "web_search"}, {"type": "mcp", "server_label": "docs", "server_url": "http://docs/mcp"}]
)
async def test_a_tool_that_the_stack_runs_is_for_its_own_agents(
    client: httpx.AsyncClient, served: Floor, tool: dict[str, object]
) -> None:
    made = agent("coded").model_copy(update={"framework": "ag2"})
    write_registry(served.registry_path, [made, agent("math")])
    body = {"model": "coded", "input": "Go.", "tools": [TOOL, tool], "background": True}
    error = (await client.post("/v1/responses", json=body)).json()["error"]
    assert (error["param"], error["code"]) == ("tools[1].type", "unsupported_parameter")
    assert served.turns.records == {}


async def test_a_tool_of_the_request_has_a_name_of_its_own(client: httpx.AsyncClient, served: Floor) -> None:
    """A call of that name would be the client's and the agent's."""
    made = agent("coded").model_copy(update={"framework": "ag2", "tools": ["add"]})
    write_registry(served.registry_path, [made, agent("math")])
    body = {"model": "coded", "input": "Go.", "tools": [{**TOOL, "name": "look"}, TOOL], "background": True}
    answer = await client.post("/v1/responses", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tools[1].name")
    assert served.turns.records == {}


def test_a_turn_with_more_than_text_is_refused_by_place() -> None:
    turn = Turn(id="resp_1", agent="choosy", input=SHOWN)
    with pytest.raises(RequestError, match=r"input\[1\]\.content\[1\].*crew"):
        check_text_only(turn, "crew")
    # What was said to another agent before is named in the text.
    check_text_only(turn.model_copy(update={"history": SHOWN, "input": SHOWN[:1]}), "crew")


def test_a_function_of_a_text_is_a_graph_that_takes_text_alone() -> None:
    @entrypoint()
    def answer(question: str) -> str:
        return question

    @entrypoint()
    def converse(messages: list) -> str:
        return ""

    graph = StateGraph(MessagesState).add_node("n", lambda state: {}).add_edge(START, "n").compile()
    assert [takes_text(each) for each in (answer, converse, graph)] == [True, False, False]
    with pytest.raises(RequestError, match=r"input\[1\]"):
        graph_input(answer, Turn(id="resp_1", agent="a", input=SHOWN), [])


def test_an_adapter_of_a_third_party_may_not_say() -> None:
    silent: Any = object()
    assert refused_parts(silent, object()) == frozenset()


async def test_deltas_are_padded_where_that_is_asked_for(client: httpx.AsyncClient, served: Floor) -> None:
    body = {**ASK, "stream": True, "stream_options": {"include_obfuscation": True}}
    stream, _ = await asyncio.gather(client.post("/v1/responses", json=body), served.turns.play(*ANSWER))
    events = [data for _, _, data in parsed(stream.text)]
    deltas = [event for event in events if event["type"].endswith(".delta")]
    assert deltas
    assert {len(json.dumps(event)) % 64 for event in deltas} == {0}
    assert [event["type"].endswith(".delta") for event in events] == ["obfuscation" in event for event in events]
    url = f"/v1/responses/{events[0]['response']['id']}"
    again = await client.get(url, params={"stream": True, "include_obfuscation": True})
    assert "obfuscation" in again.text
    assert "obfuscation" not in (await client.get(url, params={"stream": True})).text
