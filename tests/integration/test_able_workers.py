"""What Redis tells of who runs turns."""

import asyncio

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.connection import connect_blocking
from k8gentai.workers.queue.rq_worker import TurnWorker
from k8gentai.workers.queue.status import Pools

MISSING = {"shop": "there is no module 'shop'"}


async def test_an_agent_cannot_be_run_where_no_living_worker_can_import_it(connection, valkey):
    pools = Pools(connection)
    with connect_blocking(valkey.url) as client:

        def register(name, framework, missing, only=None):
            worker = TurnWorker(framework, name, client, lambda: missing, only)
            worker.register()
            return worker

        assert await pools.unable("langgraph", "shop") == {}
        await asyncio.to_thread(register, "without", "langgraph", MISSING)
        await asyncio.to_thread(register, "other", "crewai", {})
        assert await pools.unable("langgraph", "shop") == {"without": MISSING["shop"]}
        assert await pools.unable("langgraph", "math") == {}
        # It serves another one.
        await asyncio.to_thread(register, "beside", "langgraph", {}, ("math",))
        assert list(await pools.unable("langgraph", "shop")) == ["without"]
        having = await asyncio.to_thread(register, "having", "langgraph", {})
        assert await pools.unable("langgraph", "shop") == {}
        # It was lost with its witness, and its name stays for a while.
        await connection.delete(having.key)
        assert await connection.scard(keys.RQ_WORKERS + "langgraph") == 3
        assert list(await pools.unable("langgraph", "shop")) == ["without"]
