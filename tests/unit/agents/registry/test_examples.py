"""The example agents against a scripted model. Which client calls them, the integration tests try."""

from pathlib import Path

import pytest

from k8gentai.agents.adapters.langgraph.adapter import LangGraphAdapter
from k8gentai.agents.registry.definitions import read_definitions
from k8gentai.agents.registry.references import reference_faults
from tests.scripted import Answer, Call
from tests.support.langgraph import Boundary, context_of, run, texts, turn_of

ROOT = Path(__file__).parents[4]
# LangChain keeps its HTTP clients for the whole process, so all turns of a process share a loop, as in a worker.
together = pytest.mark.asyncio(loop_scope="module")
MODEL = {"INFERENCE_MODEL": "scripted-model"}


@pytest.fixture
def load(model, monkeypatch):
    """Loads an example as a worker does: what OpenAI clients read is set before."""
    monkeypatch.chdir(ROOT)
    for name, value in {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "key", **MODEL}.items():
        monkeypatch.setenv(name, value)

    def loaded(agent_id: str):
        documents = read_definitions(ROOT / "examples" / "agents", MODEL)
        (definition,) = (d.definition for d in documents if d.id == agent_id and d.definition is not None)
        return LangGraphAdapter().load(definition)

    return loaded


def test_all_definitions_are_whole():
    documents = read_definitions(ROOT / "examples" / "agents", MODEL)
    assert [d.id for d in documents] == [
        "ag2-math",
        "beeai-math",
        "crewai-math",
        "langgraph-editor",
        "langgraph-math",
        "langgraph-trip",
        "llama-stack-assistant",
    ]
    assert [d.faults for d in documents] == [()] * 7
    assert reference_faults(documents) == {}


@together
async def test_math(model, load):
    model.script(
        "math",
        Answer(Call("multiply", {"a": 12, "b": 4}, id="c1")),
        Answer(Call("divide", {"a": 48, "b": 0}, id="c2")),
        Answer("That cannot be divided."),
    )
    boundary = Boundary()
    events = await run(load("langgraph-math"), turn_of("12 * 4 / 0? [[math]]"), context_of(boundary))
    assert texts(events) == ["That cannot be divided."]
    assert boundary.outcomes["c1"].output == "48.0"
    assert boundary.outcomes["c2"].is_error


@together
async def test_trip(model, load):
    calls = [Call(name, {"city": "Oslo"}, id=name) for name in ("weather", "hotel", "sights")]
    model.script("trip", Answer(*calls), Answer("Take a coat."))
    boundary = Boundary()
    events = await run(load("langgraph-trip"), turn_of("Oslo? [[trip]]"), context_of(boundary))
    assert texts(events) == ["Take a coat."]
    assert {name: outcome.output for name, outcome in boundary.outcomes.items()} == {
        "weather": "1 °C, snow",
        "hotel": "160 EUR",
        "sights": "the opera's roof, the Munch museum",
    }
    assert [e.name for e in events if e.type == "step.started"] == ["research", "write"]
