"""Redis away: at the start, and while turns run."""

import asyncio

import httpx
import pytest

from k8gentai.workers.queue import keys
from tests.integration.helpers import check_sequence, collect, ended, eventually, prompt
from tests.scripted import Answer, Gate


def last_line(output):
    return [line for line in output.splitlines() if line.strip()][-1]


async def test_a_server_without_redis_says_so_in_its_last_line_and_ends(own_stack):
    own_stack.valkey.stop()
    server = own_stack.unstarted_server()
    server.start_unready()
    assert await asyncio.to_thread(server.process.wait, 40) != 0
    assert own_stack.valkey.url in last_line(server.process.output())
    assert "Traceback" not in server.process.output()


@pytest.mark.parametrize("url", ["http://:hunter2@127.0.0.1:1", "redis://:hunter2@127.0.0.1:1?colour=red"])
async def test_a_server_with_a_redis_url_that_is_none_says_so_in_its_last_line(own_stack, url):
    server = own_stack.unstarted_server(REDIS_URL=url)
    server.start_unready()
    assert await asyncio.to_thread(server.process.wait, 120) == 1
    output = server.process.output()
    assert "REDIS_URL is not usable" in last_line(output)
    assert "Traceback" not in output
    assert "hunter2" not in output


async def test_no_log_and_no_answer_shows_the_password_of_redis(own_stack, model, key):
    with own_stack.redis() as redis:
        redis.acl_setuser(
            "ada", enabled=True, passwords=["+hunter2"], categories=["+@all"], keys=["*"], channels=["*"]
        )
    own_stack.environment["REDIS_URL"] = own_stack.valkey.url.replace("://", "://ada:hunter2@")
    server = own_stack.add_server()
    worker = own_stack.add_worker("langgraph")
    model.script(key, Answer("Hello."))
    async with server.openai() as client:
        assert (await client.responses.create(model="plain", input=prompt(key))).output_text == "Hello."
    async with httpx.AsyncClient(base_url=server.url) as asking:
        providers = await asking.get("/v1/providers")
    assert '"amf"' in providers.text
    assert "hunter2" not in providers.text + server.process.output() + worker.output()


async def test_a_worker_without_redis_says_so_in_one_line_and_ends(own_stack):
    own_stack.valkey.stop()
    worker = own_stack.add_worker("langgraph", stack_url="http://127.0.0.1:9", ready=False)
    assert await asyncio.to_thread(worker.wait, 40) == 1
    lines = [line for line in worker.output().splitlines() if line.strip()]
    assert len(lines) == 1
    assert own_stack.valkey.url in lines[0]


@pytest.fixture
async def running(own_stack):
    """A server and a worker whose Redis a test takes away."""
    server = own_stack.add_server()
    own_stack.add_worker("langgraph")
    return server


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_turn_in_flight_goes_on_when_redis_is_back(own_stack, running, model, key, end):
    """The model speaks on while Redis is away; no delta is lost or doubled, and the reader waits."""
    away = Gate()
    back = Gate()
    model.script(key, Answer("One ", away, "two ", back, "three."))
    async with running.openai() as client:
        stream = await client.responses.create(model="plain", input=prompt(key), stream=True)
        reading = asyncio.create_task(collect(stream))
        await away.reached()
        getattr(own_stack.valkey, end)()
        away.open()
        await back.reached()
        await asyncio.to_thread(own_stack.valkey.start)
        back.open()
        events = await reading
    check_sequence(events)
    assert events[-1].response.output_text == "One two three."
    assert events[-1].response.status == "completed"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_turn_that_redis_lost_has_failed_for_who_waits_for_it(own_stack, running, model, key, stream):
    half = Gate()
    model.script(key, Answer("Half ", half, "whole."))
    async with own_stack.server.openai() as client:
        asked = client.responses.create(model="plain", input=prompt(key), stream=stream)
        waiting = asyncio.create_task(_last(asked, stream))
        await half.reached()
        with own_stack.redis() as redis:
            redis.flushall()
        half.open()
        told = await waiting
        assert (told.status, told.error.reason) == ("failed", "turn_lost")
        model.script(f"{key}b", Answer("On we go."))
        assert (await client.responses.create(model="plain", input=prompt(f"{key}b"))).output_text == "On we go."


async def _last(asked, stream):
    """The response, when it has ended."""
    if not stream:
        return await asked
    return (await collect(await asked))[-1].response


async def test_requests_meanwhile_are_503_with_retry_after_and_nothing_is_half_accepted(
    own_stack, running, model, key
):
    model.script(key, Answer("Once."))
    own_stack.valkey.stop()
    async with running.http() as http:
        for stream in (False, True):
            body = {"model": "plain", "input": prompt(key), "stream": stream}
            answer = await http.post("/v1/responses", json=body)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json()["error"]["type"] == "server_error"
        assert (await http.get("/v1/responses/resp_00000000000000000000000000000000")).status_code == 503
        await asyncio.to_thread(own_stack.valkey.start)
        with own_stack.redis() as redis:
            assert list(redis.scan_iter(f"{keys.TURN}*")) == []
            assert redis.llen(keys.RQ_QUEUE + "langgraph") == 0
    async with running.openai() as client:
        assert (await client.responses.create(model="plain", input=prompt(key))).output_text == "Once."
    assert len(model.requests(key)) == 1


async def test_a_finished_response_can_be_read_without_redis(own_stack, running, model, key):
    model.script(key, Answer("Kept."))
    async with running.openai() as client:
        response = await client.responses.create(model="plain", input=prompt(key))
        with own_stack.redis() as redis:

            async def settled():
                return redis.hget(keys.TURN + response.id, "settled")

            await eventually(settled, lambda value: value not in (None, b"0"))
        own_stack.valkey.stop()
        assert (await client.responses.retrieve(response.id)).output_text == "Kept."


async def test_accepted_turns_survive_a_restart_of_everything(own_stack, model, key):
    """Queued, then Redis killed and the server stopped: the turn is done by whoever comes later."""
    server = own_stack.add_server()
    model.script(key, Answer("Kept."))
    async with server.openai() as client:
        turn = await client.responses.create(model="plain", input=prompt(key), background=True)
    server.stop()
    own_stack.valkey.kill()
    own_stack.valkey.start()
    again = own_stack.add_server()
    own_stack.add_worker("langgraph", stack_url=again.url)
    async with again.openai() as client:
        assert (await ended(client, turn.id)).output_text == "Kept."


async def test_redis_killed_right_after_accepting_loses_no_turn(own_stack, model, key):
    """Each time it dies as soon as the client has its answer, with others under way."""
    server = own_stack.add_server()
    accepted = []
    async with server.http() as http:

        async def send(number):
            body = {"model": "plain", "input": prompt(f"{key}n{number}"), "background": True}
            answer = await http.post("/v1/responses", json=body)
            if answer.status_code == 200:
                accepted.append((number, answer.json()["id"]))
            else:
                assert answer.status_code == 503

        for number in range(60):
            model.script(f"{key}n{number}", Answer(f"Answer {number}."))
        for start in range(0, 60, 20):
            sending = [asyncio.create_task(send(number)) for number in range(start, start + 20)]
            await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            own_stack.valkey.kill()
            await asyncio.gather(*sending)
            own_stack.valkey.start()
        assert len(accepted) >= 3
        own_stack.add_worker("langgraph")
    async with server.openai() as client:
        for number, turn_id in accepted:
            assert (await ended(client, turn_id)).output_text == f"Answer {number}."
