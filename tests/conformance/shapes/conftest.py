"""What frameworks alone answer, which is what is right."""

import json
import uuid

import pytest

from k8gentai.stack.conformance.scripted import Answer
from tests.conformance.shapes import stage
from tests.conformance.shapes.alone import run_alone
from tests.conformance.shapes.shape import ORDER, shapes_of


@pytest.fixture(scope="session")
def alone(framework, model, tmp_path_factory):
    """What a framework alone answers, by shape: its last text, and as ``<shape>-structured`` its structured one.

    Agents without code are nothing without us: of them it is what the model says last.
    """
    page = tmp_path_factory.mktemp("alone") / "page.txt"
    text, structured, prompts = {}, {}, {}
    for shape in shapes_of(framework):
        plain = (shape.name, shape.entrypoint, (Answer("It ", "costs 3."),))
        in_structure = (f"{shape.name}-structured", shape.structured.entrypoint, shape.structured.final)
        text[shape.name], structured[in_structure[0]] = "It costs 3.", json.dumps(ORDER)
        for name, entrypoint, final in (plain, in_structure):
            if entrypoint:
                key = f"alone{uuid.uuid4().hex[:8]}"
                called = stage.calls(shape, stage.looking(page))
                for part, answers in shape.script(key, called, final).items():
                    model.script(key + part, *map(shape.alone, answers))
                prompts[name] = (entrypoint, f"[[{key}]] Hello.")
    answered = run_alone(framework, prompts, model.base_url) if prompts else {}
    return {**text, **structured, **answered}
