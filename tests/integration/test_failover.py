"""A failover to a replica: everybody finds the new primary by the Sentinels."""

import asyncio

from k8gentai.workers.queue.connection import AWAY, connect_blocking, until_back
from k8gentai.workers.queue.notifications import Notifications
from tests.integration.helpers import ON_ONE_HOST, check_sequence, collect, ended, prompt
from tests.scripted import Answer, Gate
from tests.support.connected import check_heard_again, connected


async def test_clients_of_every_kind_go_on_with_the_new_primary(failover):
    heard = asyncio.Queue()
    blocking = connect_blocking(failover.url)
    async with connected(failover.url) as client:
        with Notifications(client).listening("channel", heard.put_nowait):
            assert await heard.get() is None
            assert await client.set("before", "kept")
            assert blocking.get("before") == b"kept"
            assert await client.wait(1, 0) == 1
            failover.primary.kill()
            assert await until_back(lambda: client.set("after", "written"))
            assert await client.get("before") == b"kept"
            while True:
                try:
                    assert blocking.get("after") == b"written"
                    break
                except AWAY:
                    pass
            await check_heard_again(client, "channel", heard)
    blocking.close()


@ON_ONE_HOST
async def test_a_turn_in_flight_goes_on_after_a_failover(own_stack, failover, model, key):
    own_stack.environment["REDIS_URL"] = failover.url
    server = own_stack.add_server()
    own_stack.add_worker("langgraph", ready=False)
    away, back = Gate(), Gate()
    model.script(key, Answer("One ", away, "two ", back, "three."), Answer("Again."))
    async with server.openai() as client:
        stream = await client.responses.create(model="plain", input=prompt(key), stream=True)
        reading = asyncio.create_task(collect(stream))
        await away.reached()
        failover.primary.kill()
        away.open()
        await asyncio.to_thread(failover.wait_until_over)
        await back.reached()
        back.open()
        events = await reading
        check_sequence(events)
        assert events[-1].response.output_text == "One two three."

        async def create():
            return await client.with_options(max_retries=10).responses.create(
                model="plain", input=prompt(key), background=True
            )

        assert (await ended(client, (await create()).id)).output_text == "Again."
