"""The command in a plain shell beside a running ``up`` that was told where its Redis and its registry are."""

import asyncio
import os
import socket
import subprocess

import pytest

from k8gentai.agents.registry.registry import RegisteredAgent, write_registry
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.registry_store import RedisStore
from tests.integration.helpers import eventually
from tests.integration.test_up import COMMAND, DEFINITION, Up
from tests.scripted import Answer
from tests.support.processes import ROOT, Process
from tests.support.valkey import Valkey

TOLD = ("REDIS_URL", "AMF_KEY_PREFIX", "AMF_REGISTRY", "AMF_AGENTS", "AMF_STACK_URL", "INFERENCE_MODEL")
"""What says where a stack is; a plain shell has none of it."""


def plain_shell(**named):
    """The environment of a shell in which nothing is set but what is named."""
    bare = {name: value for name, value in os.environ.items() if name not in TOLD}
    # Workers find the tests' agents by it; no command takes it from another process.
    return {**bare, "PYTHONPATH": str(ROOT), **named}


def command(directory, *words, **named):
    """Run the command in a plain shell."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=directory,
        env=plain_shell(**named),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def listened_on(port):
    """Whether something answers on a port of this machine."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def other_valkey(tmp_path_factory):
    """A Redis in which another stack, without a prefix, has its registry as well."""
    made = Valkey(tmp_path_factory.mktemp("redis"))
    made.start()
    kept = {"framework": "langgraph", "state": "ready", "file": "a.yaml", "digest": "d"}
    write_registry(RedisStore(made.url), [RegisteredAgent(id="anothers", **kept)])
    yield made
    made.stop()


@pytest.fixture(scope="module")
def up(model, other_valkey, tmp_path_factory):
    told = {"REDIS_URL": other_valkey.url, "AMF_KEY_PREFIX": "mine:", "AMF_REGISTRY": "redis"}
    made = Up(tmp_path_factory.mktemp("up"), model.base_url, **told)
    try:
        made.serves()
        yield made
    finally:
        made.process.stop(60)


async def test_every_command_finds_the_stack_that_is_up(up, model, key):
    model.script(key, Answer("Here I am."))
    found = {}
    for name, *words in [
        ("call", "agents", "call", "plain", f"Where are you? [[{key}]]"),
        ("agents", "agents", "list"),
        ("agent", "agents", "show", "plain"),
        ("turns", "turns", "list"),
        ("update", "agents", "update"),
    ]:
        found[name] = await asyncio.to_thread(command, up.directory, *words)
        assert found[name].returncode == 0, (name, found[name].stdout, found[name].stderr)
    assert "Here I am." in found["call"].stdout
    assert ("plain" in found["agents"].stdout, "anothers" in found["agents"].stdout) == (True, False)
    assert "workers        1" in found["agent"].stdout
    turn_id = found["turns"].stdout.splitlines()[1].split()[0]
    assert turn_id.startswith("resp_")
    assert found["update"].stdout.splitlines()[-1] == "No agent changed."
    for shown in ("show", "events"):
        done = await asyncio.to_thread(command, up.directory, "turns", shown, turn_id)
        assert (done.returncode, "Here I am." in done.stdout or "completed" in done.stdout) == (0, True)
    done = await asyncio.to_thread(command, up.directory, "turns", "cancel", turn_id)
    assert (done.returncode, "had ended before (completed)" in done.stderr) == (1, True)


async def test_a_worker_beside_it_serves_the_same_queue(up):
    worker = Process("beside", [*COMMAND, "worker", "langgraph"], up.directory, plain_shell(), up.directory)
    try:

        async def shown():
            return (await asyncio.to_thread(command, up.directory, "agents", "show", "plain")).stdout

        await eventually(shown, lambda text: "workers        2" in text, 60)
    finally:
        worker.stop(30)


def test_what_is_named_goes_first(up):
    done = command(up.directory, "agents", "list", AMF_KEY_PREFIX="")
    assert ("anothers" in done.stdout, "plain" in done.stdout) == (True, False), done.stdout + done.stderr
    done = command(up.directory, "turns", "list", AMF_KEY_PREFIX="nobodys:")
    assert (done.returncode, done.stdout.endswith("behind the prefix 'nobodys:'.\n")) == (0, True), done.stdout
    done = command(up.directory, "turns", "list", "--status", "failed")
    assert (done.returncode, done.stdout.startswith("No turns that are failed in Redis at")) == (0, True), (
        done.stdout
    )
    done = command(up.directory, "agents", "call", "plain", "Hi", AMF_STACK_URL="http://127.0.0.1:9")
    assert (done.returncode, "No stack answers at http://127.0.0.1:9" in done.stderr) == (1, True), done.stderr


def test_elsewhere_a_registry_in_redis_knows_its_directory(up, other_valkey, tmp_path):
    told = {"REDIS_URL": other_valkey.url, "AMF_KEY_PREFIX": "mine:", "AMF_REGISTRY": "redis"}
    (tmp_path / "agents").mkdir()
    text = DEFINITION.read_text().replace("name: plain", "name: simple")
    (tmp_path / "agents" / "simple.yaml").write_text(text)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "agents").symlink_to(tmp_path / "agents")
    named = {"INFERENCE_MODEL": "openai/scripted-model"}
    done = command(tmp_path, "agents", "update", **told, **named)
    assert f"The agents are those of {up.directory}/agents, as last time" in done.stderr
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "No agent changed."), done.stdout + done.stderr
    # Who names another directory is asked for more.
    for words in (("agents", "update"), ("up", "--once", "--frameworks", "langgraph")):
        model_at = {name: up.environment[name] for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")}
        done = command(tmp_path, *words, **told, **named, **model_at, AMF_AGENTS="agents")
        assert (done.returncode, "no longer defines 1 of the agents" in done.stderr) == (1, True), done.stderr
    listed = command(tmp_path, "agents", "list", **told)
    assert ("plain" in listed.stdout, "simple" in listed.stdout) == (True, False)
    done = command(tmp_path, "agents", "update", "--yes", **told, **named, AMF_AGENTS="agents")
    assert ("New: simple" in done.stdout, "Gone: plain" in done.stdout) == (True, True), done.stdout + done.stderr


def test_a_directory_that_is_gone_is_named_and_nothing_is_put_in_its_place(valkey, tmp_path):
    kept = {"framework": "langgraph", "state": "ready", "file": "a.yaml", "digest": "d"}
    with valkey.client() as redis:
        redis.flushall()
    write_registry(RedisStore(valkey.url), [RegisteredAgent(id="own", **kept)], agents_dir=tmp_path / "away")
    for words in (("agents", "update"), ("up",)):
        done = command(tmp_path, *words, REDIS_URL=valkey.url, AMF_REGISTRY="redis")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line == (
            f"The registry {keys.REGISTRY} in {valkey.url} was made of {tmp_path}/away, and that directory is "
            "not there: bring it back, or name another one in AMF_AGENTS (examples/agents has the examples)."
        )
    assert not (tmp_path / "examples").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("turns", "list"), "No 'up' runs here: "),
        (("turns", "show", "resp_1"), "No 'up' runs here: "),
        (("agents", "list"), "No 'up' runs here, and there is no registry .k8gentai/registry.json: "),
        (("agents", "show", "plain"), "No 'up' runs here, and there is no registry "),
        (("agents", "call", "plain", "Hi"), "No stack answers at http://127.0.0.1:8321: start "),
        (("drill", "plain"), "No 'up' runs here, and there is no registry "),
        (("worker", "langgraph"), "No 'up' runs here: "),
    ],
)
@pytest.mark.skipif(any(map(listened_on, (6379, 8321))), reason="a stack's usual ports are in use")
def test_where_nothing_runs_and_nothing_is_named_one_line_says_what_to_do(tmp_path, words, says):
    done = command(tmp_path, *words)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, line.startswith(says)) == (1, True), line
