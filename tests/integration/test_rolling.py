"""All workers are replaced one after the other while turns run, as on a deploy."""

import asyncio

from k8gentai.stack.drill.check import check_events, check_stream
from k8gentai.stack.drill.client import Client
from k8gentai.workers.queue.connection import connect
from k8gentai.workers.queue.turns import Turns
from tests.integration.helpers import ON_ONE_HOST, eventually

pytestmark = ON_ONE_HOST

AT_ONCE = 4


async def test_a_rolling_restart_loses_and_doubles_nothing_and_costs_no_attempt(own_stack, tmp_path):
    server = own_stack.add_server()
    # Turns take longer than the grace, so that some are handed over half done.
    workers = [own_stack.add_worker("langgraph", "--grace-seconds", "0.2") for _ in range(2)]
    clients = []
    replaced = asyncio.Event()
    redis = connect(own_stack.valkey.url)
    turns = Turns(redis)

    async def send_until_replaced(http):
        while not replaced.is_set():
            client = Client(http, "ledger", f"Enter 3 lines in {tmp_path / 'book.txt'}.", lambda _: None)
            clients.append(client)
            await client.run()

    async def busy(worker):
        async def runs():
            records = [await turns.get(client.turn_id) for client in clients if client.turn_id]
            return any(f"-{worker.pid}-" in (record.worker or "") for record in records if not record.ended_at)

        await eventually(runs, bool, 60)

    async with server.http() as http:
        sending = [asyncio.create_task(send_until_replaced(http)) for _ in range(AT_ONCE)]
        for worker in workers:
            await asyncio.to_thread(own_stack.add_worker, "langgraph")
            await busy(worker)
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, 30) == 0
        replaced.set()
        await asyncio.gather(*sending)
        ids = [client.turn_id for client in clients if client.turn_id]
        assert len(ids) == len(clients)
        records = [await turns.get(turn_id) for turn_id in ids]
        for client, turn_id in zip(clients, ids, strict=True):
            found = check_events(await turns.events(turn_id))
            read = check_stream(client.events, await client.again())
            assert found.lost + found.doubled + read.lost + read.doubled == []
    await redis.aclose()
    assert {record.status for record in records} == {"completed"}
    assert {record.crashes for record in records} == {0}
    assert sum(record.attempt for record in records) > len(records)
    assert sum(record.models_repeated + record.tools_repeated for record in records) == 0
