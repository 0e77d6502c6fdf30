"""Code that holds up a worker's event loop is named, and costs no lease."""

import os

from k8gentai.workers.queue import keys
from tests.integration.helpers import ON_ONE_HOST, ended, eventually

LEASE_SECONDS = 1


@ON_ONE_HOST
async def test_blocking_code_is_named_and_its_turn_is_kept(own_stack, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    server = own_stack.add_server()
    workers = [own_stack.add_worker("langgraph", "--lease-seconds", str(LEASE_SECONDS)) for _ in range(2)]
    async with server.openai() as client:
        response = await client.responses.create(model="blocking", input=str(pipe), background=True)

        async def leased_until():
            with own_stack.redis() as redis:
                leases = redis.zrange(keys.LEASES + "langgraph", 0, -1, withscores=True)
            return max((until for member, until in leases if response.id.encode() in member), default=0.0)

        first = await eventually(leased_until, bool)
        await eventually(leased_until, lambda until: until > first + 3 * LEASE_SECONDS)

        async def told():
            return [line for worker in workers for line in worker.output().splitlines() if "_blocked" in line]

        (line,) = await eventually(told, bool)
        assert "tests/agents/blocking.py:11" in line
        pipe.write_text("At last.")
        assert (await ended(client, response.id)).output_text == "At last."
        with own_stack.redis() as redis:
            assert redis.hget(keys.TURN + response.id, "attempt") == b"1"
