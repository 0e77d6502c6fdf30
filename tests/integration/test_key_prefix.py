"""Two stacks with two prefixes share one Redis, and do not see each other."""

from k8gentai.workers.queue import keys
from tests.integration.helpers import ON_ONE_HOST, prompt
from tests.scripted import Answer
from tests.support.processes import run_python
from tests.support.valkey import rq

pytestmark = ON_ONE_HOST

RQ_CLASSES = (
    *("--queue-class", "k8gentai.workers.queue.rq_worker.RqQueue"),
    *("--worker-class", "k8gentai.workers.queue.rq_worker.RqWorker"),
)


def added(stack, prefix):
    """Add a server and a worker. Returns both."""
    stack.key_prefix = prefix
    server = stack.add_server(SQLITE_STORE_DIR=str(stack.directory / prefix.strip(":{}")))
    return server, stack.add_worker("langgraph", stack_url=server.url)


async def test_two_stacks_share_a_redis_without_seeing_each_other(own_stack, model, key):
    prefixes = ("one:", "{two}:")
    model.script(key, *(Answer(f"To {prefix}") for prefix in prefixes))
    stacks = {prefix: added(own_stack, prefix) for prefix in prefixes}
    turns = {}
    for prefix, (server, _) in stacks.items():
        async with server.openai() as client:
            response = await client.responses.create(model="plain", input=prompt(key))
        assert response.output_text == f"To {prefix}"
        turns[prefix] = response.id
    with own_stack.redis() as redis:
        names = [name.decode() for name in redis.scan_iter(count=1000)]
    assert [name for name in names if not name.startswith(prefixes)] == []
    for prefix, (_, worker) in stacks.items():
        listed = run_python(
            *("-m", "k8gentai.stack.commands.cli", "turns", "list"),
            environment={**own_stack.environment, "AMF_KEY_PREFIX": prefix},
        ).stdout
        assert [turn_id for turn_id in turns.values() if turn_id in listed] == [turns[prefix]]
        assert prefix + keys.TURN + turns[prefix] in names
        info = rq(own_stack.valkey.url, "info", *RQ_CLASSES, prefix=prefix)
        assert [other.pid for _, other in stacks.values() if f"-{other.pid}-" in info] == [worker.pid]
        assert "1 workers, 1 queues" in info
