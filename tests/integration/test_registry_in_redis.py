"""The registry in Redis: written by one, read by every server and worker, which see a change without a restart."""

import asyncio
import threading
from functools import partial
from pathlib import Path

import openai
import pytest
from pydantic import TypeAdapter
from redis.exceptions import ConnectionError as RedisConnectionError

from k8gentai.agents.registry.registry import RegisteredAgent, Registry, write_registry
from k8gentai.agents.registry.store import NoRegistryError, RegistryReplacedError
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.registry_store import FollowedStore, Place, RedisStore, place_named
from tests.integration.helpers import ON_ONE_HOST, eventually
from tests.integration.test_registry import DEFINITION, ECHO
from tests.support.processes import run_python
from tests.support.stack import Stack
from tests.support.valkey import Valkey

AGENTS = Path("agents").absolute()


def agent(agent_id: str, **fields) -> RegisteredAgent:
    return RegisteredAgent(id=agent_id, framework="langgraph", state="ready", file="a.yaml", digest="d", **fields)


def ids(registry: Registry) -> list[str]:
    return [found.id for found in registry.list()]


async def seen(registry: Registry, wanted: list[str]) -> None:
    """Wait until a registry has these agents, as it hears of them by itself."""

    async def look() -> list[str]:
        return ids(registry)

    await eventually(look, lambda found: found == wanted, 30)


@pytest.fixture
def store(connection, valkey):
    """What writes, and commands read."""
    return RedisStore(valkey.url)


@pytest.fixture
def follow():
    """Make stores as servers and workers have them."""
    made = []

    def make(url: str) -> FollowedStore:
        made.append(FollowedStore(url))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize(
    ("named", "place"),
    [
        ("redis", "redis"),
        ("Redis", "redis"),
        ("./redis", Path("redis")),
        ("./Redis", Path("Redis")),
        (".k8gentai/registry.json", Path(".k8gentai/registry.json")),
    ],
)
def test_the_place_is_a_file_or_redis(named, place):
    assert place_named(named) == place
    assert TypeAdapter(Place).validate_python(named) == place


def test_a_url_is_no_place():
    with pytest.raises(ValueError, match="or 'redis' for the Redis that REDIS_URL names, and no URL"):
        place_named("redis://localhost:6379/0")


async def test_a_registry_is_replaced_as_a_whole_and_its_readers_hear_of_it(store, follow, valkey):
    following = Registry(follow(valkey.url))
    assert (ids(following), following.was_read(), following.written_at()) == ([], True, 0.0)
    write_registry(store, [agent("b"), agent("a")], agents_dir=Path("agents"))
    await seen(following, ["a", "b"])
    assert following.written_at() > 0
    assert following.agents_dir() == AGENTS
    first = following.get("a")
    assert following.get("a") is first
    write_registry(store, [agent("c")], over=Registry(store).version())
    await seen(following, ["c"])


async def test_a_reader_that_did_not_hear_of_it_yet_can_ask(store, follow, valkey, monkeypatch):
    monkeypatch.setattr(FollowedStore, "_follow", lambda _: None)
    following = Registry(follow(valkey.url))
    assert ids(following) == []
    write_registry(store, [agent("a")])
    assert ids(following) == []
    following.refresh()
    assert ids(following) == ["a"]


def test_of_two_writers_the_second_is_refused_and_the_first_ones_stands(store):
    write_registry(store, [agent("old")])
    over = Registry(store).version()
    write_registry(store, [agent("first")], over=over)
    with pytest.raises(
        RegistryReplacedError, match=f"another update wrote {keys.REGISTRY} in redis://.* meanwhile"
    ):
        write_registry(store, [agent("second")], over=over)
    with pytest.raises(RegistryReplacedError):
        write_registry(store, [agent("second")])
    assert ids(Registry(store)) == ["first"]


def test_of_writers_at_the_same_time_one_writes(store, valkey):
    write_registry(store, [agent("old")])
    over = Registry(store).version()
    outcomes: list[str | None] = []
    ready = threading.Barrier(8)

    def write(name: str) -> None:
        mine = RedisStore(valkey.url)
        ready.wait()
        try:
            write_registry(mine, [agent(name)], over=over)
            outcomes.append(name)
        except RegistryReplacedError:
            outcomes.append(None)

    threads = [threading.Thread(target=write, args=(f"n{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [name for name in outcomes if name]
    assert (ids(Registry(store)), len(outcomes)) == ([winner], 8)


def test_a_write_whose_answer_was_lost_counts_as_written(store, monkeypatch):
    replace = RedisStore._replace

    def lost(self, *arguments):
        replace(self, *arguments)
        raise RedisConnectionError("reset")

    monkeypatch.setattr(RedisStore, "_replace", lost)
    write_registry(store, [agent("a")])
    assert ids(Registry(store)) == ["a"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda redis: redis.hset(keys.REGISTRY, mapping={keys.REGISTRY_MAP: "{", keys.REGISTRY_VERSION: "x"}),
            "JSON",
        ),
        (lambda redis: redis.hdel(keys.REGISTRY, keys.REGISTRY_VERSION), "it has no field version"),
        (
            lambda redis: redis.delete(keys.REGISTRY) and redis.hset(keys.REGISTRY, keys.REGISTRY_VERSION, "x"),
            "JSON",
        ),
    ],
)
async def test_what_is_no_registry_leaves_the_last_one_and_says_why(store, follow, valkey, spoil, says):
    write_registry(store, [agent("a")])
    following, direct = Registry(follow(valkey.url)), Registry(store)
    assert ids(following) == ids(direct) == ["a"]
    with valkey.client() as redis:
        spoil(redis)
        for registry in (following, direct):
            registry.refresh()
            assert ids(registry) == ["a"]
            assert says in (registry.trouble() or "")
    write_registry(store, [agent("b")], over=direct.version())
    await seen(following, ["b"])
    assert following.was_read()


async def test_what_is_of_another_type_or_gone_leaves_the_last_one(store, follow, valkey):
    write_registry(store, [agent("a")])
    following = Registry(follow(valkey.url))
    assert ids(following) == ["a"]
    with valkey.client() as redis:
        redis.delete(keys.REGISTRY)
        following.refresh()
        assert ids(following) == ["a"]
        assert following.trouble() == f"{store.name} is gone; its agents stay until there is one again"
        with pytest.raises(NoRegistryError):
            store.look(None)
        redis.set(keys.REGISTRY, "text")
        following.refresh()
        assert ids(following) == ["a"]
        assert "WRONGTYPE" in (following.trouble() or "")
        with pytest.raises(OSError, match="WRONGTYPE"):
            write_registry(store, [agent("b")])


async def test_redis_away_leaves_the_last_one_and_what_was_written_is_seen_when_it_is_back(tmp_path, follow):
    valkey = Valkey(tmp_path)
    valkey.start()
    try:
        store = RedisStore(valkey.url)
        write_registry(store, [agent("a")])
        following = Registry(follow(valkey.url))
        assert ids(following) == ["a"]
        valkey.stop()
        following.refresh()
        assert ids(following) == ["a"]
        assert not following.was_read()
        with pytest.raises(OSError, match=f"{keys.REGISTRY} in redis://"), store.claim():
            pass
        valkey.start()
        write_registry(store, [agent("a"), agent("b")], over=Registry(store).version())
        await seen(following, ["a", "b"])
        assert following.was_read()
    finally:
        valkey.stop()


@pytest.fixture
def redis_stack(host, model, tmp_path):
    """A stack whose registry is in Redis, with an agent and without a file."""
    made = Stack(tmp_path, model.base_url, host)
    made.environment["AMF_REGISTRY"] = "redis"
    made.code.mkdir()
    made.agents.mkdir()
    made.valkey.start()
    yield made
    made.stop()


def define(stack: Stack, name: str, text: str) -> None:
    (stack.code / f"{name}_code.py").write_text(ECHO.format(text=text))
    definition = DEFINITION.format(name=name, entrypoint=f"{name}_code:agent", description="A test's.")
    (stack.agents / f"{name}.yaml").write_text(definition)


def agents_command(stack: Stack, *arguments: str, **environment: str):
    command = ("-m", "k8gentai.stack.commands.cli", "agents", *arguments)
    return run_python(*command, environment={**stack.environment, **environment}, seconds=600)


@ON_ONE_HOST
async def test_an_agent_that_is_added_appears_to_servers_and_workers_without_a_restart(redis_stack):
    stack = redis_stack
    define(stack, "first", "one")
    done = await asyncio.to_thread(agents_command, stack, "update")
    assert (done.returncode, "New: first" in done.stdout) == (0, True), done.stdout + done.stderr
    assert not stack.registry.exists()
    servers = [await asyncio.to_thread(stack.add_server) for _ in range(2)]
    worker = await asyncio.to_thread(stack.add_worker, "langgraph")

    async def ask(name: str, server) -> str:
        async with server.openai() as client:
            return (await client.responses.create(model=name, input="Hello.")).output_text

    assert await ask("first", servers[0]) == "one"
    with pytest.raises(openai.NotFoundError):
        await ask("second", servers[1])
    define(stack, "second", "two")
    done = await asyncio.to_thread(agents_command, stack, "update")
    assert done.returncode == 0, done.stdout + done.stderr

    async def answers(server) -> str | None:
        try:
            return await ask("second", server)
        except openai.NotFoundError:
            return None

    for server in servers:
        assert await eventually(partial(answers, server), bool, 30) == "two"

        async def listed(server=server) -> set[str]:
            async with server.http() as http:
                return {entry["id"] for entry in (await http.get("/v1/models")).json()["data"]}

        await eventually(listed, lambda models: {"amf/first", "amf/second"} <= models)
    assert worker.exit_code is None
    shown = await asyncio.to_thread(agents_command, stack, "list")
    assert "second" in shown.stdout
    # Who names no directory takes the one of last time.
    elsewhere = await asyncio.to_thread(agents_command, stack, "update", AMF_AGENTS="")
    assert (elsewhere.returncode, f"The agents are those of {stack.agents}, as last time" in elsewhere.stderr) == (
        0,
        True,
    ), elsewhere.stdout + elsewhere.stderr
    assert elsewhere.stdout.splitlines()[-1] == "No agent changed."
    stack.valkey.stop()
    away = await asyncio.to_thread(agents_command, stack, "list")
    assert (away.returncode, "cannot be read" in away.stderr) == (1, True), away.stdout + away.stderr
