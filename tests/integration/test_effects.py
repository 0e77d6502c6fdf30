"""Effects beside model and tool calls: a turn that is run again asks the stack nothing that it was answered."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.worker_name import pid_in
from k8gentai.workers.stack.service_api import SERVICES_PATH
from tests.integration.helpers import IMPLICIT, ended, eventually, prompt
from tests.scripted import FOREVER, Answer, Call, Gate
from tests.support.stack import Stack


def asked(stack: Stack) -> Counter[str]:
    """Return how often the servers were asked for each service, by their own word."""
    logs = "".join(log.read_text() for log in stack.directory.glob("server*.log"))
    return Counter(part.split()[0] for part in logs.split(f"POST {SERVICES_PATH}/")[1:])


def counted(stack: Stack, turn_id: str) -> tuple[int, ...]:
    """Return the turn's counts of effects: made, replayed, repeated."""
    with stack.redis() as redis:
        values = redis.hmget(keys.TURN + turn_id, "effects_made", "effects_replayed", "effects_repeated")
    return tuple(int(value or 0) for value in values)


@pytest.fixture(scope="module")
def crashing(host: Any, model: Any, registry: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own, whose workers may be killed."""
    made = Stack(tmp_path_factory.mktemp("crashing"), model.base_url, host)
    try:
        made.prepare(registry=registry)
        made.add_server()
        made.add_worker("llama-stack")
        yield made
    finally:
        made.stop()


async def file_in(client: Any, key: str) -> Any:
    """Return an input with a file of the stack."""
    file = await client.files.create(file=("returns.txt", b"Bags may be returned."), purpose="assistants")
    parts = [{"type": "input_text", "text": prompt(key)}, {"type": "input_file", "file_id": file.id}]
    return [{"role": "user", "content": parts}]


async def test_a_turn_whose_worker_was_killed_asks_nothing_again(crashing: Stack, model: Any, key: str) -> None:
    gate = Gate()
    guarded = {"guardrails": True if crashing.host.name == "ogx" else ["moderation"]}
    async with crashing.server.openai() as client:
        model.script(key, Answer("It ", gate, FOREVER), Answer("It ", "rains."))
        before = asked(crashing)
        turn = await client.responses.create(
            model=IMPLICIT, input=await file_in(client, key), extra_body=guarded, background=True
        )
        await gate.reached()

        async def made() -> int:
            return counted(crashing, turn.id)[0]

        # The file, the question, and what there is of the answer.
        first = await eventually(made, lambda made: made >= 3)
        crashing.add_worker("llama-stack")
        with crashing.redis() as redis:
            name = redis.hget(keys.TURN + turn.id, "worker").decode()
        pid = pid_in(name)
        assert pid is not None
        crashing.worker(pid).kill()
        response = await ended(client, turn.id)
    assert response.output_text == "It rains."
    effects, replayed, repeated = counted(crashing, turn.id)
    assert (replayed, repeated) == (first, 0)
    # What is in the journal was asked once each, whichever attempt asked it.
    services = asked(crashing) - before
    assert services["file"] == 1
    assert services.total() == effects


async def test_a_turn_that_waited_for_a_person_asks_nothing_again(
    stack: Stack, client: Any, model: Any, key: str, tmp_path: Any
) -> None:
    write = Call("write", {"path": str(tmp_path / "page.txt"), "line": "one"})
    model.script(key, Answer("I shall write. ", write), Answer("Written."))
    before = asked(stack)
    first = await client.responses.create(model="guarded", input=await file_in(client, key))
    (request,) = [item for item in first.output if item.type == "mcp_approval_request"]
    answer = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
    response = await client.responses.create(model="guarded", previous_response_id=first.id, input=[answer])
    assert response.output_text == "Written."
    assert asked(stack) - before == Counter({"file": 1})
    assert counted(stack, first.id) == (1, 0, 0)
    assert counted(stack, response.id)[1:] == (1, 0)
    contents = [str(request.body["messages"]) for request in model.requests(key)]
    assert all("file_data" in content for content in contents)
