"""What a running ``up`` tells the other commands of its directory."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from k8gentai.stack.environments.frameworks import frameworks_here
from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local import pidfile as notice
from k8gentai.stack.local.pidfile import Notice
from k8gentai.stack.local.settings import STATE, read_settings, settings_of_up

UP = Notice(os.getpid(), "http://127.0.0.1:8399", "openai/tiny", ["langgraph"])


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    STATE.mkdir()
    for name in ("AMF_STACK_URL", "INFERENCE_MODEL"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_not_set_is_that_of_the_stack_that_is_up() -> None:
    with notice.posted(STATE, UP):
        settings = read_settings()
    assert (settings.stack_url, settings.model) == ("http://127.0.0.1:8399", "openai/tiny")
    assert settings.frameworks == ("langgraph",)


def test_what_is_set_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMF_STACK_URL", "http://elsewhere")
    monkeypatch.setenv("INFERENCE_MODEL", "openai/large")
    with notice.posted(STATE, UP):
        settings = read_settings()
    assert (settings.stack_url, settings.model) == ("http://elsewhere", "openai/large")


def test_the_model_is_named_as_the_stack_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_MODEL", "tiny")
    with notice.posted(STATE, UP):
        assert settings_of_up().model == os.environ["INFERENCE_MODEL"] == "openai/tiny"
    monkeypatch.setenv("INFERENCE_MODEL", "large")
    with notice.posted(STATE, UP):
        assert read_settings().model == "openai/large"
    with notice.posted(STATE, replace(UP, has_one_model=True)):
        assert settings_of_up().model == os.environ["INFERENCE_MODEL"] == "openai/tiny"


def test_one_that_ended_or_was_killed_tells_nothing() -> None:
    with notice.posted(STATE, UP):
        pass
    assert read_settings().model is None
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with notice.posted(STATE, replace(UP, pid=gone.pid)):
        settings = read_settings()
    assert (settings.stack_url, settings.model) == ("http://127.0.0.1:8321", None)
    assert settings.frameworks == frameworks_here()


def test_a_later_process_of_the_same_number_is_not_the_one_that_was_up() -> None:
    with notice.posted(STATE, UP):
        assert notice.read(STATE) == UP
        os.utime(STATE / "up.json", (1, 1))
        assert notice.read(STATE) is None


def test_what_is_not_set_here_is_as_up_was_started_with(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {
        "INFERENCE_MODEL": "tiny",
        "AMF_AGENTS": "theirs",
        "SHOP_TOKEN": "t",
        "AMF_REGISTRY": "theirs.json",
        "AMF_ADAPTERS": "",
        "AMF_STACK_API_KEY": "hush",
        # Where its own shell had found another stack, and how its terminal shows colours.
        "AMF_STACK_URL": "http://127.0.0.1:1",
        "NO_COLOR": "1",
    }
    for name in ("AMF_STACK_API_KEY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AMF_REGISTRY", "mine.json")
    monkeypatch.setenv("SHOP_KEY", "k")
    for name in ("AMF_AGENTS", "SHOP_TOKEN", "INFERENCE_MODEL", "AMF_STACK_URL"):
        # Undone at the end, too, where it is set meanwhile.
        monkeypatch.setenv(name, "")
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, env=theirs, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout
        running.stdout.readline()
        with notice.posted(STATE, replace(UP, pid=running.pid)):
            settings = settings_of_up()
        running.communicate(b"\n")
    # What is set here does not reach its workers.
    assert settings.code_environment is not None
    assert "AMF_STACK_API_KEY" not in settings.code_environment
    assert {
        name: settings.code_environment.get(name) for name in ("INFERENCE_MODEL", "SHOP_TOKEN", "SHOP_KEY")
    } == {
        "INFERENCE_MODEL": "openai/tiny",
        "SHOP_TOKEN": "t",
        "SHOP_KEY": None,
    }
    assert (settings.agents, settings.registry) == (Path("theirs"), Path("mine.json"))
    assert settings.stack_url == UP.stack_url
    assert (os.environ["SHOP_TOKEN"], "NO_COLOR" in os.environ) == ("t", False)
    # Agents' code, which is imported to check it, must not see it.
    assert "AMF_STACK_API_KEY" not in os.environ
    assert os.environ["INFERENCE_MODEL"] == settings.model == "openai/tiny"


@pytest.mark.parametrize("url", ["foo", "host:8321", "ftp://host", "http://", "http://host:99999", "http://a b"])
def test_a_url_of_the_stack_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AMF_STACK_URL", url)
    with pytest.raises(SetUpError, match=r"^AMF_STACK_URL: .* as http://127\.0\.0\.1:8321 is\.$"):
        read_settings()


def test_a_url_of_redis_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("foo", "http://host", "redis://host:port"):
        monkeypatch.setenv("REDIS_URL", url)
        with pytest.raises(SetUpError, match=r"^REDIS_URL: "):
            read_settings()
