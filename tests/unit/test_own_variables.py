"""An agent that sets where models are does so for itself."""

import contextvars
import os
import subprocess
import sys
import threading

import pytest

from k8gentai.workers.own_variables import own_variables, part_variables

GATEWAY = "http://gateway/v1"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    was = os.environ.__class__
    monkeypatch.setenv("OPENAI_BASE_URL", GATEWAY)
    monkeypatch.setenv("OPENAI_API_KEY", "placeholder")
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    part_variables()
    yield
    os.environ.__class__ = was


def agent(work, variables=None):
    """Do something as an agent's code. Returns what it came to."""

    def working():
        own_variables.set({} if variables is None else variables)
        return work()

    return contextvars.Context().run(working)


def change():
    os.environ["OPENAI_BASE_URL"] = "http://elsewhere/v1"
    os.environ.update(HTTPS_PROXY="http://proxy")
    del os.environ["OPENAI_API_KEY"]
    return read()


def read():
    names = ("OPENAI_BASE_URL", "HTTPS_PROXY", "OPENAI_API_KEY")
    got = tuple(os.getenv(name) for name in names)
    assert tuple(dict(os.environ).get(name) for name in names) == got
    assert tuple(name in os.environ for name in names) == tuple(value is not None for value in got)
    assert len(os.environ) == len(list(os.environ)) == len(os.environ.copy())
    return got


def test_what_one_sets_others_do_not_find():
    assert agent(change) == ("http://elsewhere/v1", "http://proxy", None)
    assert agent(read) == read() == (GATEWAY, None, "placeholder")


def test_its_threads_and_later_turns_find_it():
    variables = {}
    agent(change, variables)
    found = []

    def start():
        thread = threading.Thread(target=contextvars.copy_context().run, args=(lambda: found.append(read()),))
        thread.start()
        thread.join()

    agent(start, dict(variables))
    assert found == [("http://elsewhere/v1", "http://proxy", None)]


def test_what_was_deleted_may_be_set_again_and_is_not_deleted_twice():
    def work():
        assert os.environ.pop("OPENAI_API_KEY") == "placeholder"
        with pytest.raises(KeyError):
            del os.environ["OPENAI_API_KEY"]
        return os.environ.setdefault("OPENAI_API_KEY", "own")

    assert agent(work) == "own"


def test_other_variables_are_those_of_the_process(monkeypatch):
    monkeypatch.delenv("SHOP", raising=False)

    def work():
        os.environ["SHOP"] = "open"
        return subprocess.check_output([sys.executable, "-c", "import os; print(os.environ['SHOP'])"], text=True)

    assert agent(work) == "open\n"
    assert os.environ.pop("SHOP") == "open"


@pytest.mark.parametrize("value", [1, None])
def test_a_value_that_is_no_text_is_refused(value):
    with pytest.raises(TypeError):
        agent(lambda: os.environ.__setitem__("OPENAI_BASE_URL", value))
