"""The registry: read again when it was replaced, never read half."""

import pytest

from k8gentai.agents.registry import RegisteredAgent, Registry, write_registry


def agent(agent_id: str, **fields) -> RegisteredAgent:
    return RegisteredAgent(id=agent_id, framework="langgraph", state="ready", file="a.yaml", digest="d", **fields)


def test_there_is_nothing_before_the_first_update(tmp_path):
    registry = Registry(tmp_path / "registry.json")
    assert registry.get("a") is None
    assert registry.list() == []


def test_a_replaced_map_is_read_again_and_an_unchanged_one_is_not(tmp_path):
    path = tmp_path / "deep" / "registry.json"
    registry = Registry(path)
    write_registry(path, [agent("b"), agent("a")])
    assert [found.id for found in registry.list()] == ["a", "b"]
    first = registry.get("a")
    assert registry.get("a") is first
    write_registry(path, [agent("a", error="changed")])
    assert registry.get("a").error == "changed"
    assert registry.get("b") is None
    path.unlink()
    assert registry.get("a") is None


def test_a_map_that_cannot_be_read_leaves_the_last_one(tmp_path):
    path = tmp_path / "registry.json"
    write_registry(path, [agent("a")])
    registry = Registry(path)
    assert registry.get("a")
    assert registry.was_read()
    path.write_text('{"version": 1, "agents": [{"id"')
    assert registry.get("a")
    assert not registry.was_read()
    write_registry(path, [agent("a")])
    assert registry.was_read()


def test_a_write_that_fails_leaves_the_last_map_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "registry.json"
    write_registry(path, [agent("a")])
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_registry(path, [agent("b")])
    assert Registry(path).get("a")
    assert [file.name for file in tmp_path.iterdir()] == ["registry.json"]
