"""The registry: read again when it was replaced, never read half."""

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from k8gentai.agents.registry.registry import RegisteredAgent, Registry, _Map, write_registry


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
    changed = registry.get("a")
    assert changed is not None
    assert changed.error == "changed"
    assert registry.get("b") is None
    path.unlink()
    assert registry.get("a") is None


def test_who_comes_while_a_thread_reads_a_replaced_map_sees_that_map_too(tmp_path, monkeypatch):
    path = tmp_path / "registry.json"
    write_registry(path, [agent("a")])
    registry = Registry(path)
    assert registry.get("a")
    write_registry(path, [agent("a"), agent("b")])
    found = []
    validate = _Map.model_validate_json

    def come_meanwhile(content):
        monkeypatch.setattr(_Map, "model_validate_json", validate)
        with ThreadPoolExecutor() as threads:
            found.append(threads.submit(registry.get, "b").result())
        return validate(content)

    monkeypatch.setattr(_Map, "model_validate_json", come_meanwhile)
    assert [known.id for known in registry.list()] == ["a", "b"]
    assert found == [agent("b")]


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        ("{", "it is no registry (Invalid JSON: EOF while parsing an object at line 1 column 1)"),
        ("[1]", "it is no registry (Input should be an object)"),
        ('{"version": 2, "agents": []}', "it is no registry (version: Input should be 1)"),
        ('{"agents": [{"id": "a"}]}', "it is no registry (agents.0.framework: Field required)"),
    ],
)
def test_what_is_no_map_is_told_in_one_line(tmp_path, kept, why):
    path = tmp_path / "registry.json"
    path.write_text(kept)
    assert Registry(path).trouble() == why


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


def test_a_map_that_was_out_of_reach_is_read_again_though_it_is_the_same(tmp_path, monkeypatch):
    path = tmp_path / "registry.json"
    write_registry(path, [agent("a")])
    registry = Registry(path)
    with monkeypatch.context() as without_descriptors:
        without_descriptors.setattr(Path, "read_bytes", lambda _: _raise(OSError(errno.EMFILE, "too many")))
        assert registry.get("a") is None
        assert not registry.was_read()
    assert registry.get("a")
    assert registry.was_read()


def test_a_map_whose_directory_is_gone_bad_leaves_the_last_one(tmp_path):
    path = tmp_path / "there" / "registry.json"
    write_registry(path, [agent("a")])
    registry = Registry(path)
    written = registry.written_at()
    path.parent.rename(tmp_path / "away")
    path.parent.write_text("A file where the directory was.")
    assert registry.get("a")
    assert (registry.was_read(), registry.written_at()) == (False, written)
    path.parent.unlink()
    (tmp_path / "away").rename(path.parent)
    assert registry.get("a")
    assert registry.was_read()


def test_a_map_whose_directory_is_away_leaves_the_last_one(tmp_path):
    path = tmp_path / "there" / "registry.json"
    registry = Registry(path)
    assert (registry.get("a"), registry.was_read()) == (None, True)
    write_registry(path, [agent("a")])
    assert registry.get("a")
    path.parent.rename(tmp_path / "away")
    for _ in range(2):
        assert registry.get("a")
        assert not registry.was_read()
    (tmp_path / "away").rename(path.parent)
    assert registry.get("a")
    assert registry.was_read()
    path.unlink()
    assert registry.get("a") is None


def _raise(error):
    raise error


def test_a_write_that_fails_leaves_the_last_map_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "registry.json"
    write_registry(path, [agent("a")])
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_registry(path, [agent("b")])
    assert Registry(path).get("a")
    assert [file.name for file in tmp_path.iterdir()] == ["registry.json"]
