"""Agents' code that would end, hang or mislead its worker: one turn fails, with the cause, and nobody else."""

import asyncio
import contextlib

import psutil
import pytest

from k8gentai.workers.queue import keys
from tests.integration.helpers import ON_ONE_HOST, ended, eventually, prompt
from tests.scripted import Answer, Call, Gate
from tests.support.stack import Stack

pytestmark = ON_ONE_HOST

INNOCENTS = 6
RAISED = "the agent raised"


@pytest.fixture(scope="module")
def own_stack(host, model, registry, tmp_path_factory):
    """A server, and workers that are started again as often as they end."""
    made = Stack(tmp_path_factory.mktemp("poison"), model.base_url, host)
    try:
        made.prepare(registry=registry)
        made.add_server()
        yield made
    finally:
        made.stop()


@pytest.fixture
async def client(own_stack):
    async with own_stack.server.openai() as made:
        yield made


@pytest.fixture(autouse=True)
async def workers(own_stack):
    """Two workers, whatever becomes of them."""

    async def keep():
        while True:
            for _ in range(2 - len(own_stack.worker_pids())):
                await asyncio.to_thread(own_stack.add_worker, "langgraph", ready=False)
            await asyncio.sleep(0.1)

    keeping = asyncio.create_task(keep())
    yield
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping


async def ready(stack):
    """The process ids of both workers, once both take turns: the test before may have ended one."""

    async def registered():
        return {pid for pid in stack.worker_pids() if stack.registered(stack.worker(pid))}

    return await eventually(registered, lambda pids: len(pids) == 2)


def counts(stack, turn_id):
    """A turn's attempts, crashes and crashes that it shared."""
    with stack.redis() as redis:
        found = redis.hmget(keys.TURN + turn_id, "attempt", "crashes", "shared_crashes")
    return tuple(int(count or 0) for count in found)


async def ask(client, deed, agent="poison"):
    turn = await client.responses.create(model=agent, input=f"do: {deed}", background=True)
    return await ended(client, turn.id)


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("exit", "the agent raised SystemExit: 5"),
        ("exit in a task", "the agent raised SystemExit: 5"),
        ("terminate", "the agent raised AgentExitError: SIGTERM was sent to the worker's own process"),
        ("terminate the group", "the agent raised AgentExitError: SIGINT was sent to the worker's own process"),
        ("raise a signal", "the agent raised AgentExitError: SIGTERM was sent to the worker's own process"),
        ("interrupt", "the agent raised KeyboardInterrupt"),
        ("cancelled", "the agent raised NodeCancelledError: Node 'do' raised asyncio.CancelledError"),
        ("cancel all", "the agent's own code cancelled it"),
        ("base", "the agent raised Plain: plain"),
        ("memory", "the agent raised MemoryError"),
        ("half", "the agent raised ValueError: cannot read: \ufffd"),
        ("unprintable", "the agent raised Unprintable: (its message cannot be printed: RuntimeError)"),
        (
            "handle signals",
            f"{RAISED} ValueError: signal only works in main thread of the main interpreter",
        ),
        (
            "handle signals in the loop",
            f"{RAISED} RuntimeError: set_wakeup_fd only works in main thread of the main interpreter",
        ),
        ("close all files", "the agent raised AgentExitError: files were closed that are the worker's own"),
        ("close each file", "the agent raised AgentExitError: files were closed that are the worker's own"),
        ("recurse", "the agent raised RecursionError: maximum recursion depth exceeded"),
        ("ignore cancelling", "the turn did not end within its limit of 20 s"),
    ],
)
async def test_what_can_be_caught_fails_its_turn_at_the_first_attempt(own_stack, client, deed, message):
    pids = await ready(own_stack)
    response = await ask(client, deed)
    assert (response.status, response.error.message) == ("failed", message)
    assert counts(own_stack, response.id) == (1, 0, 0)
    assert set(own_stack.worker_pids()) >= pids


@pytest.mark.parametrize(("agent", "code"), [("poison-factory", 6), ("poison-middleware", 7)])
async def test_an_exit_beside_a_node_does_so_too(own_stack, client, agent, code):
    response = await ask(client, "exit", agent)
    assert (response.status, response.error.message) == ("failed", f"the agent raised SystemExit: {code}")
    assert counts(own_stack, response.id) == (1, 0, 0)


async def test_an_exit_in_a_tool_is_shown_to_the_model(client, model, key):
    model.script(key, Answer(Call("leave", {})), Answer("It left."))
    response = await client.responses.create(model="poison-leaver", input=prompt(key))
    assert response.output_text == "It left."
    assert "SystemExit" in str(response.output[0].error) or "sys.exit" in str(response.output[0].error)


async def test_a_tool_that_is_called_in_a_forked_child_fails_the_turn_at_once(client, model, key):
    model.script(key, Answer(Call("half", {})))
    response = await client.responses.create(model="poison-forker", input=prompt(key))
    assert response.status == "failed"
    assert "half was called in a child process" in response.error.message


@pytest.mark.parametrize("name", ["half", "half_with_artifact", "half_command", "fail_half"])
async def test_a_tools_text_that_cannot_be_encoded_reaches_the_model_with_a_replacement(client, model, key, name):
    model.script(key, Answer(Call(name, {})), Answer("I see."))
    response = await client.responses.create(model="poison-leaver", input=prompt(key))
    assert response.output_text == "I see.", response.error
    (shown,) = model.requests(key)[1].texts("tool")
    assert "half \ufffd" in shown


@pytest.mark.parametrize(
    "deed",
    [
        "spawn",
        "leave a process",
        "fork",
        "fork in a thread",
        "run a loop in a thread",
        "fail in a thread",
        "print much",
        "change settings",
        "close standard streams",
    ],
)
async def test_what_is_no_harm_to_a_process_of_its_own_is_none_here(own_stack, client, model, key, deed):
    """Nor to those beside it, and after it."""
    pids, gate = await ready(own_stack), Gate()
    model.script(key, Answer("Half ", gate, "and half."))
    beside = await client.responses.create(model="plain", input=prompt(key), background=True)
    await model.request(key)
    for _ in range(4):
        response = await ask(client, deed)
        assert (response.output_text, counts(own_stack, response.id)) == ("Done.", (1, 0, 0))
        assert (await ask(client, "settings")).output_text == "True"
    gate.open()
    assert (await ended(client, beside.id)).output_text == "Half and half."
    assert set(own_stack.worker_pids()) == pids
    children = [child for pid in pids for child in psutil.Process(pid).children()]
    living = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    left = [child for child in living if "k8gentai.workers.process.witness" not in child.cmdline()]
    # What was started on purpose lives, and no second worker does.
    assert {child.name() for child in left} <= {"sleep"}
    for child in left:
        child.kill()


@pytest.mark.parametrize("deed", ["exit in a callback", "stop the loop"])
async def test_what_no_task_is_at_fault_for_ends_nothing(client, deed):
    assert (await ask(client, deed)).output_text == "Done."


async def test_text_that_cannot_be_encoded_is_shown_with_a_replacement(client):
    assert (await ask(client, "say half")).output_text == "\ufffd"


@pytest.mark.parametrize(
    ("deed", "cause"),
    [
        ("hard exit", "ended itself with exit code 7 at "),
        ("segfault", "ended with signal 11 (SIGSEGV) at "),
        ("crash with another handler", "ended with signal 11 (SIGSEGV) at "),
        ("kill", "was killed "),
    ],
)
async def test_a_turn_that_ends_its_process_takes_no_other_with_it(own_stack, client, model, key, deed, cause):
    gate = Gate()
    names = [f"{key}n{number}" for number in range(INNOCENTS)]
    for own in names:
        # The first attempt waits for as long as its worker lives.
        model.script(own, Answer("Half ", gate), *(Answer("Whole.") for _ in range(20)))
    innocents = [await client.responses.create(model="plain", input=prompt(own), background=True) for own in names]
    for own in names:
        await model.request(own)
    turn = await client.responses.create(model="poison", input=f"do: {deed}", background=True)
    poison = await ended(client, turn.id)
    gate.open()
    for innocent in innocents:
        response = await ended(client, innocent.id)
        assert response.status == "completed"
        assert counts(own_stack, innocent.id)[1] == 0
    assert (poison.status, poison.error.reason) == ("failed", "worker_lost")
    assert f"3 times and each time its worker died: its process {cause}" in poison.error.message
    if cause.endswith(" at "):
        assert "tests/agents/poison.py:" in poison.error.message
    assert counts(own_stack, turn.id)[1] == 3


async def test_code_that_blocks_loses_its_turn_and_its_process_while_others_go_on(own_stack, client, model, key):
    gate = Gate()
    model.script(key, Answer("Half ", gate), *(Answer("Whole.") for _ in range(5)))
    innocent = await client.responses.create(model="plain", input=prompt(key), background=True)
    await model.request(key)
    workers = [own_stack.worker(pid) for pid in await ready(own_stack)]
    blocking = [await client.responses.create(model="poison", input="do: block", background=True) for _ in workers]
    for turn in blocking:
        response = await ended(client, turn.id)
        assert (response.status, response.error.reason) == ("failed", "time_limit")
        assert "its limit of 20 s; " in response.error.message
        assert "tests/agents/poison.py:" in response.error.message
        assert counts(own_stack, turn.id)[1:] == (0, 0)
    gate.open()
    assert (await ended(client, innocent.id)).status == "completed"

    async def codes():
        return {worker.exit_code for worker in workers}

    await eventually(codes, lambda found: 75 in found)


@pytest.mark.parametrize("deed", ["shut down sockets", "lose threads"])
async def test_a_process_that_can_run_no_turns_any_more_fails_none(own_stack, client, model, key, deed):
    workers = [own_stack.worker(pid) for pid in await ready(own_stack)]
    await asyncio.gather(*(ask(client, deed) for _ in workers))
    names = [f"{key}n{number}" for number in range(INNOCENTS)]
    for own in names:
        model.script(own, *(Answer("Whole.") for _ in range(20)))
    turns = [await client.responses.create(model="plain", input=prompt(own), background=True) for own in names]
    assert {(await ended(client, turn.id)).output_text for turn in turns} == {"Whole."}

    async def codes():
        return {worker.exit_code for worker in workers}

    await eventually(codes, lambda found: 75 in found)


async def test_a_worker_that_is_too_large_before_its_first_turn_is_refused(own_stack):
    worker = own_stack.add_worker("langgraph", "--max-memory", "1", ready=False)
    assert await asyncio.to_thread(worker.wait, 120) == 1
    assert "--max-memory is 1 MB, and the worker takes" in worker.output()


async def test_a_worker_that_has_grown_is_to_be_replaced(own_stack, client):
    # What it takes itself when it is ready is known only then: another one takes as much that is as new.
    new = await asyncio.to_thread(own_stack.add_worker, "langgraph")
    most = psutil.Process(new.pid).memory_info().rss // 2**20 + 60
    await asyncio.to_thread(new.stop)
    worker = own_stack.add_worker("langgraph", "--max-memory", str(most))
    for _ in range(20):
        assert (await ask(client, "grow")).output_text == "Done."
        if worker.exit_code is not None:
            break
    assert await asyncio.to_thread(worker.wait, 120) == 75
    assert "memory_grown" in worker.output()
