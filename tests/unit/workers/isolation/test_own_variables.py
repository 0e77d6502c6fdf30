"""An agent that sets where models are does so for itself."""

import _posixsubprocess
import asyncio
import builtins
import contextvars
import gc
import importlib
import multiprocessing
import os
import subprocess
import sys
import threading
from importlib import _bootstrap
from multiprocessing import forkserver
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from k8gentai.workers.isolation.child_environment import pass_on_variables
from k8gentai.workers.isolation.own_variables import _Imports, own_variables, part_variables

REPLACED = (
    (builtins, "__import__"),
    (_bootstrap, "_gcd_import"),
    (_posixsubprocess, "fork_exec"),
    (subprocess, "_fork_exec"),
    (os, "execv"),
    (os, "system"),
    (forkserver.ForkServer, "ensure_running"),
)
GATEWAY = "http://gateway/v1"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    was = os.environ.__class__
    for owner, name in REPLACED:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setenv("OPENAI_BASE_URL", GATEWAY)
    monkeypatch.setenv("OPENAI_API_KEY", "placeholder")
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    part_variables()
    pass_on_variables()
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


@pytest.mark.parametrize(
    "place",
    [
        # What defines when it equals others has no hash.
        "sys.modules[__name__].__class__ = type('M', (types.ModuleType,), {'__eq__': lambda self, other: True})",
        "sys.modules[__name__] = 5",
    ],
)
def test_what_an_odd_module_sets_is_found_by_who_imports_it(place, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("plain", "odd"):
        monkeypatch.setitem(sys.modules, name, None)
        # It is taken out again at the end.
        del sys.modules[name]
    setting = f"os.environ['OPENAI_BASE_URL'] = {GATEWAY!r} + '/odd'\n"
    (tmp_path / "plain.py").write_text(f"import os\n{setting}import odd\n")
    (tmp_path / "odd.py").write_text(f"import os, sys, types\n{place}\n{setting}")
    for _ in range(2):
        assert (
            agent(lambda: importlib.import_module("plain") and os.environ["OPENAI_BASE_URL"]) == f"{GATEWAY}/odd"
        )


def test_what_a_module_set_goes_with_it():
    """Another module may get its identity."""
    imports, module = _Imports(), ModuleType("module")
    imports.note(module)["OPENAI_API_KEY"] = "own"
    assert imports.of(module) == {"OPENAI_API_KEY": "own"}
    assert imports
    del module
    gc.collect()
    assert not imports


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


PRINTING = "echo $OPENAI_BASE_URL $HTTPS_PROXY ${OPENAI_API_KEY-none}"
SHELL = ["/bin/sh", "-c", PRINTING]


def by_subprocess(into: Path) -> None:
    with into.open("w") as file:
        subprocess.run(SHELL, stdout=file, check=True)


def by_asyncio(into: Path) -> None:
    async def run() -> None:
        with into.open("w") as file:
            await (await asyncio.create_subprocess_exec(*SHELL, stdout=file)).wait()

    asyncio.run(run())


def by_posix_spawn(into: Path) -> None:
    with into.open("w") as file:
        subprocess.run(SHELL, stdout=file, check=True, close_fds=False)


def by_popen(into: Path) -> None:
    with os.popen(PRINTING) as program:
        into.write_text(program.read())


def by_system(into: Path) -> None:
    assert os.waitstatus_to_exitcode(os.system(f"{PRINTING} > {into}; exit 3")) == 3


def by_exec(into: Path) -> None:
    assert os.spawnlp(os.P_WAIT, "sh", "sh", "-c", f"{PRINTING} > {into}") == 0


def by_fork(into: Path) -> None:
    if (child := os.fork()) == 0:
        os.execv("/bin/sh", ["sh", "-c", f"{PRINTING} > {into}"])
    assert os.waitpid(child, 0)[1] == 0


def by_multiprocessing(into: Path) -> None:
    child = multiprocessing.get_context("spawn").Process(target=by_subprocess, args=(into,))
    child.start()
    child.join()


WAYS = [
    by_subprocess,
    by_asyncio,
    by_posix_spawn,
    by_popen,
    by_system,
    by_exec,
    by_fork,
    by_multiprocessing,
]


@pytest.mark.parametrize("way", WAYS)
def test_programs_that_it_starts_find_what_it_set(way, tmp_path, monkeypatch):
    into = tmp_path / "found"

    def work():
        change()
        way(into)

    agent(work)
    assert into.read_text() == "http://elsewhere/v1 http://proxy none\n"
    agent(lambda: way(into))
    assert into.read_text() == f"{GATEWAY} placeholder\n"


def test_a_program_that_is_given_an_environment_has_that():
    def work():
        change()
        return subprocess.check_output(SHELL, env={"HTTPS_PROXY": "http://other"}, text=True)

    assert agent(work) == "http://other none\n"


def test_children_of_a_server_that_forks_for_all_agents_have_no_agents_variables(tmp_path):
    def work():
        change()
        child = multiprocessing.get_context("forkserver").Process(target=by_subprocess, args=(tmp_path / "found",))
        child.start()
        child.join()

    try:
        agent(work)
    finally:
        server: Any = forkserver._forkserver
        server._stop()
    assert (tmp_path / "found").read_text() == f"{GATEWAY} placeholder\n"
