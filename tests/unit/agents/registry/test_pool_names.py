"""Pools that definitions name: each is of one framework."""

from pathlib import Path

from k8gentai.agents.registry.definitions import read_definitions
from k8gentai.agents.registry.pools import pool_faults


def define(folder: Path, name: str, framework: str, pool: str | None) -> None:
    spec = f"{{framework: {framework}" + (f", pool: {pool}}}" if pool else "}")
    (folder / f"{name}.yaml").write_text(
        f"apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )


def test_a_pool_that_agents_of_two_frameworks_name_is_a_fault_of_the_second(tmp_path: Path) -> None:
    define(tmp_path, "a", "langgraph", "gpu")
    define(tmp_path, "b", "crewai", "gpu")
    define(tmp_path, "c", "langgraph", "gpu")
    define(tmp_path, "d", "crewai", "cpu")
    define(tmp_path, "e", "ag2", None)
    found = pool_faults(read_definitions(tmp_path))
    assert list(found) == ["b"]
    (fault,) = found["b"]
    assert str(fault).endswith(
        "b.yaml:4: spec.pool: 'gpu' is the pool of 'a', an agent of langgraph: the workers of a pool run one "
        "framework, and this agent is of crewai"
    )
