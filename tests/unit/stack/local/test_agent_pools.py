"""Pools: named in definitions, served by workers, started by ``up``."""

import pytest
from pydantic import ValidationError

from k8gentai.agents.registry.registry import RegisteredAgent, Registry, write_registry
from k8gentai.agents.resources.agent import FRAMEWORKS_HERE, AgentDefinition
from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local.agents_update import served, served_pool
from k8gentai.stack.local.up import pools_of
from k8gentai.workers.queue.status import LiveWorker, Workers


def definition(**spec):
    document = {
        "apiVersion": "kagent.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": "a"},
        "spec": {"framework": "langgraph", **spec},
    }
    return AgentDefinition.model_validate(document, context={FRAMEWORKS_HERE: ("langgraph", "crewai")})


def registered(name, framework="langgraph", state="ready", **spec):
    return RegisteredAgent(
        id=name, framework=framework, state=state, file="a.yaml", digest="1", definition=definition(**spec)
    )


@pytest.mark.parametrize(
    ("spec", "pool"), [({}, "langgraph"), ({"pool": "gpu"}, "gpu"), ({"pool": "langgraph"}, "langgraph")]
)
def test_the_pool_of_an_agent_is_the_one_it_names_or_that_of_its_framework(spec, pool):
    assert registered("a", **spec).pool == pool


@pytest.mark.parametrize("pool", ["", "GPU", "a b", "-a", "x" * 64, "crewai"])
def test_a_pool_is_a_name_and_not_that_of_another_framework(pool):
    with pytest.raises(ValidationError, match="pool"):
        definition(pool=pool)


def test_workers_of_the_release_before_read_a_registry_in_which_no_agent_names_a_pool(tmp_path):
    """They take no field of a definition that they do not know."""
    path = tmp_path / "registry.json"
    write_registry(path, [registered("a")])
    assert '"pool"' not in path.read_text()
    write_registry(path, [registered("a", pool="gpu")])
    assert Registry(path).list()[0].pool == "gpu"


def test_up_starts_a_worker_for_each_pool_that_a_ready_agent_names():
    agents = [
        registered("a"),
        registered("b", pool="gpu"),
        registered("c", state="broken", pool="none"),
        registered("d", framework="crewai", pool="elsewhere"),
    ]
    assert pools_of(["langgraph", "llama-stack"], agents) == {
        "langgraph": "langgraph",
        "llama-stack": "llama-stack",
        "gpu": "langgraph",
    }
    with pytest.raises(SetUpError, match="Agents of langgraph and of crewai name the pool 'gpu'"):
        pools_of(["langgraph", "crewai"], [*agents, registered("e", framework="crewai", pool="gpu")])


def test_a_worker_serves_the_pool_of_its_framework_or_a_named_one():
    assert served_pool("langgraph", None) == served_pool("langgraph", "langgraph") == "langgraph"
    assert served_pool("langgraph", "gpu") == "gpu"
    with pytest.raises(SetUpError, match="'crewai' is that of another framework"):
        served_pool("langgraph", "crewai")
    with pytest.raises(SetUpError, match="'G P U' is no name"):
        served_pool("langgraph", "G P U")


def test_a_worker_may_serve_a_list_of_agents():
    assert served(" a,b,,a ") == ("a", "b")
    with pytest.raises(SetUpError, match="names no agent"):
        served(" , ")


def test_workers_count_for_the_agents_that_they_serve():
    workers = Workers([LiveWorker("gpu"), LiveWorker("gpu", frozenset({"a"})), LiveWorker("langgraph")])
    assert [workers.serving("gpu", name) for name in ("a", "b")] == [2, 1]
    assert (workers.of("gpu"), workers.of("tpu")) == (2, 0)
