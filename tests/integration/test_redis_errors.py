"""Redis that answers with errors for a while, and links to it that die without a word."""

import asyncio
from contextlib import contextmanager
from functools import partial

import pytest

from k8gentai.stack.drill.proxy import REFUSALS, RedisProxy, serving
from k8gentai.workers.queue import keys
from tests.integration.helpers import ON_ONE_HOST, check_sequence, collect, ended, eventually, prompt
from tests.scripted import Answer, Gate

pytestmark = ON_ONE_HOST


@pytest.fixture
async def proxy(own_stack):
    """What stands between the stack and its Redis."""

    async def dial():
        return await asyncio.open_connection("127.0.0.1", own_stack.valkey.port)

    async with serving(RedisProxy(dial)) as made:
        own_stack.environment["REDIS_URL"] = f"redis://127.0.0.1:{made.port}/0"
        yield made


@pytest.fixture
async def server(own_stack, proxy):
    made = await asyncio.to_thread(own_stack.add_server)
    await asyncio.to_thread(own_stack.add_worker, "langgraph")
    return made


@contextmanager
def nothing_permitted(stack):
    """Redis lets its users do nothing, reads included."""
    with stack.redis() as admin:
        admin.acl_setuser("admin", enabled=True, nopass=True, categories=["+@all"], keys=["*"], channels=["*"])
        admin.execute_command("AUTH", "admin", "")
        admin.execute_command("ACL", "SETUSER", "default", "-@all")
        try:
            yield
        finally:
            admin.execute_command("ACL", "SETUSER", "default", "+@all")


async def refused(http, key):
    body = {"model": "plain", "input": prompt(key), "background": True}
    unavailable(await http.post("/v1/responses", json=body))


def unavailable(answer):
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["code"] == "store_unavailable"
    assert int(answer.headers["retry-after"]) > 0


async def beats_that_met(stack, code):
    """How many beats of the worker logged that Redis refused; what else waits for it logs when it asks again."""
    (pid,) = stack.worker_pids()
    text = REFUSALS[code].partition(" ")[2]
    lines = [line for line in stack.worker(pid).output().splitlines() if "redis_away" in line and text in line]
    return sum("retry_in" not in line for line in lines)


async def test_errors_that_redis_answers_are_waited_out(own_stack, proxy, server, model, key):
    """A turn is under way all the time; afterwards leases are kept and the dead are noticed as before."""
    gates = [Gate() for _ in REFUSALS]
    steps = [step for gate in gates for step in (gate, "on ")]
    model.script(key, Answer("Go ", *steps, "and end."))
    async with server.openai() as client, server.http() as http:
        stream = await client.responses.create(model="plain", input=prompt(key), stream=True)
        reading = asyncio.create_task(collect(stream))
        for code, gate in zip(REFUSALS, gates, strict=True):
            await gate.reached()
            with proxy.refusing(code):
                await refused(http, key)
                gate.open()
                await refused(http, key)
                await eventually(partial(beats_that_met, own_stack, code), bool)
        events = await reading
        check_sequence(events)
        response = events[-1].response
        assert response.output_text == "Go " + "on " * len(REFUSALS) + "and end."
        with own_stack.redis() as redis:
            assert redis.hmget(keys.TURN + response.id, "attempt", "crashes") == [b"1", b"0"]
            assert len(list(redis.scan_iter(f"{keys.TURN}*", _type="hash"))) <= 2
        await unreadable_while_nothing_is_permitted(own_stack, http, model, f"{key}read")
        await taken_up_after_a_kill(own_stack, proxy, client, model, f"{key}kill")


async def unreadable_while_nothing_is_permitted(own_stack, http, model, key):
    """A turn that runs is neither read nor joined by another then; afterwards it goes on."""
    held = Gate()
    model.script(key, Answer("Half, ", held, "whole."))
    body = {"model": "plain", "input": prompt(key), "background": True}
    path = f"/v1/responses/{(await http.post('/v1/responses', json=body)).json()['id']}"
    await held.reached()
    with nothing_permitted(own_stack):
        await refused(http, key)
        unavailable(await http.get(path))
    assert (await http.get(path)).json()["status"] == "in_progress"
    held.open()

    async def read():
        return (await http.get(path)).json()

    turn = await eventually(read, lambda turn: turn["status"] != "in_progress")
    assert turn["output"][0]["content"][0]["text"] == "Half, whole."


async def output(process):
    return process.output()


async def taken_up_after_a_kill(own_stack, proxy, client, model, key):
    """A worker that lived through it all takes up the turn of one that is killed, which started while Redis
    refused."""
    held = Gate()
    model.script(key, Answer("Half, ", held), Answer("Whole."))
    with proxy.refusing("MISCONF"):
        victim = await asyncio.to_thread(own_stack.add_worker, "langgraph", ready=False)
        await eventually(partial(output, victim), lambda log: "worker_ready" in log)
    await asyncio.to_thread(victim.wait_until, lambda: own_stack.registered(victim), "ready", 60)
    survivors = [pid for pid in own_stack.worker_pids() if pid != victim.pid]
    turn = await client.responses.create(model="plain", input=prompt(key), background=True)
    await held.reached()
    with own_stack.redis() as redis:
        running = redis.hget(keys.TURN + turn.id, "worker").decode()
    (struck,) = [pid for pid in (victim.pid, *survivors) if f"-{pid}-" in running]
    own_stack.worker(struck).kill()
    held.open()
    response = await ended(client, turn.id)
    assert (response.status, response.output_text) == ("completed", "Whole.")


async def test_links_that_die_without_a_word_are_left(own_stack, proxy, server, model, key):
    """No reset comes, and nothing that was sent arrives, also when new links are well again."""
    away, back = Gate(), Gate()
    model.script(key, Answer("One ", away, "two ", back, "three."), Answer("Again."))
    async with server.openai() as client, server.http() as http:
        stream = await client.responses.create(model="plain", input=prompt(key), stream=True)
        reading = asyncio.create_task(collect(stream))
        await away.reached()
        with proxy.silent():
            away.open()
            await refused(http, f"{key}refused")
        await back.reached()
        back.open()
        events = await reading
        check_sequence(events)
        assert events[-1].response.output_text == "One two three."

        async def create():
            return await http.post(
                "/v1/responses", json={"model": "plain", "input": prompt(key), "background": True}
            )

        answer = await eventually(create, lambda answer: answer.status_code == 200)
        assert (await ended(client, answer.json()["id"])).output_text == "Again."
