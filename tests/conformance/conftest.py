"""One stack a framework, with a worker in the framework's own environment; the model alone is scripted."""

import shutil
from pathlib import Path

import pytest
import yaml

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.agents.registry.registry import Registry
from k8gentai.stack.conformance.kit import read_kit
from k8gentai.stack.conformance.lab import open_lab
from tests.conformance.guarded import definitions as guarded_agents
from tests.conformance.poison import definitions as poison_agents
from tests.conformance.shapes.definitions import write_definitions
from tests.support.conformance import StackProcesses
from tests.support.processes import ROOT
from tests.support.stack import Stack

AGENTS = Path(__file__).parent / "agents"


@pytest.fixture(scope="session", params=FRAMEWORKS)
def framework(request):
    """The framework under test. Tests of the same one run together, on one stack."""
    return request.param


@pytest.fixture(scope="session")
def kit(framework):
    """What the framework brings."""
    return read_kit(AGENTS / framework.replace("-", "_"))


@pytest.fixture(scope="session")
def stack(framework, kit, model, tmp_path_factory):
    """A server and a worker; the framework's environment is made first, where it is not there."""
    definitions = tmp_path_factory.mktemp("definitions")
    examples = ROOT / "examples" / "agents" / framework.replace("-", "_")
    shutil.copytree(
        examples, definitions, ignore=shutil.ignore_patterns("*.py", "__pycache__"), dirs_exist_ok=True
    )
    equipped = (AGENTS / "equipped.yaml").read_text()
    (definitions / "equipped.yaml").write_text(equipped.replace("FRAMEWORK", framework))
    added = {**guarded_agents(framework), **poison_agents(framework)}
    for agent_id, definition in added.items():
        (definitions / f"{agent_id}.yaml").write_text(yaml.safe_dump(definition))
    kit.write(definitions)
    write_definitions(framework, definitions)
    made = Stack(tmp_path_factory.mktemp(framework), model.base_url)
    try:
        made.prepare(definitions)
        # An example may ask an agent of another framework, which is not here.
        ours = {*kit.definitions, *added}
        agents = [agent for agent in Registry(made.registry).list() if agent.id in ours]
        broken = [agent.error or agent.state for agent in agents if agent.state != "ready"]
        assert not broken, "\n".join(broken)
        made.add_server()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def processes(stack, framework):
    """Those of the stack, with a worker. A test may kill it: there is another one then."""
    made = StackProcesses(stack, framework)
    made.add_worker()
    return made


@pytest.fixture
async def lab(framework, model, processes, key, tmp_path):
    """What a check works with."""
    async with open_lab(framework, model, processes, key, tmp_path / "page.txt") as made:
        yield made


@pytest.fixture
def client(lab):
    """The openai SDK's client."""
    return lab.client


@pytest.fixture
def page(lab):
    """The file the scribe writes to."""
    return lab.page
