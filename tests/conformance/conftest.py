"""One stack a framework, with a worker in the framework's own environment; the model alone is scripted."""

import shutil
from pathlib import Path

import pytest

from tests.conformance.capabilities import FRAMEWORKS, reason
from tests.support.processes import ROOT
from tests.support.stack import Stack

AGENTS = Path(__file__).parent / "agents"


def pytest_configure(config):
    config.addinivalue_line("markers", "capability(name): what a framework may be unable to do")


@pytest.fixture(scope="session", params=FRAMEWORKS)
def framework(request):
    """The framework under test. Tests of the same one run together, on one stack."""
    return request.param


@pytest.fixture(autouse=True)
def _able(request, framework):
    """Leave out what the framework cannot do."""
    for mark in request.node.iter_markers("capability"):
        if why := reason(framework, mark.args[0]):
            pytest.skip(f"{framework}: {why}")


@pytest.fixture(scope="session")
def definitions(framework, tmp_path_factory):
    """The framework's agents, its examples, and the declared agents that all frameworks have."""
    made = tmp_path_factory.mktemp("definitions")
    code = shutil.ignore_patterns("*.py", "__pycache__")
    for source in (AGENTS / framework, ROOT / "examples" / "agents" / framework.replace("-", "_")):
        if source.exists():
            shutil.copytree(source, made, ignore=code, dirs_exist_ok=True)
    for name in ("declared.yaml", "equipped.yaml"):
        (made / name).write_text((AGENTS / name).read_text().replace("FRAMEWORK", framework))
    return made


@pytest.fixture(scope="session")
def registry(framework, definitions, model, tmp_path_factory):
    """The map of the framework's agents, checked once. Its environment is made first, where it is not there."""
    made = Stack(tmp_path_factory.mktemp("registry"), model.base_url)
    try:
        made.prepare(definitions)
        yield made.registry
    finally:
        made.stop()


@pytest.fixture(scope="session")
def stack(framework, definitions, model, registry, tmp_path_factory):
    """One server, and a worker. Not to be stopped by a test."""
    made = Stack(tmp_path_factory.mktemp(framework), model.base_url)
    try:
        made.prepare(definitions, registry)
        made.add_server()
        made.add_worker(framework, "--concurrency", "20")
        yield made
    finally:
        made.stop()


@pytest.fixture
def own_stack(definitions, model, registry, tmp_path):
    """A stack that a test may stop parts of, with a server and two workers."""
    made = Stack(tmp_path, model.base_url)
    try:
        made.prepare(definitions, registry)
        made.add_server()
        yield made
    finally:
        made.stop()


@pytest.fixture
def workers(framework, own_stack):
    """Two workers of one's own stack, by process id."""
    return {worker.pid: worker for worker in (own_stack.add_worker(framework) for _ in range(2))}


@pytest.fixture
async def client(stack):
    """The openai SDK's client."""
    async with stack.server.openai() as made:
        yield made


@pytest.fixture
async def own_client(own_stack):
    """A client of one's own stack."""
    async with own_stack.server.openai() as made:
        yield made


@pytest.fixture
def page(tmp_path):
    """The file the scribe writes to."""
    return tmp_path / "page.txt"
