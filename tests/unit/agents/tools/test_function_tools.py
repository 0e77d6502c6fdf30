"""Python functions as tools: what a model is told of them, and how they are called."""

import asyncio
import sys
import threading
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from k8gentai.agents.contract.turn import AgentLoadError, ToolFailedError
from k8gentai.agents.resources.agent import ToolTerms
from k8gentai.agents.tools.functions import function_tool


class Place(BaseModel):
    city: str


def forecast(
    place: Place, days: Annotated[int, Field(ge=1)] = 3, unit: Literal["C", "F"] = "C", note: str = ""
) -> dict:
    """Tell the weather
    of the next days.

    Args:
        place: where; a city
            or a village.
        days (int): how many.

    Returns:
        place: is none of the arguments.
    """
    return {"city": place.city, "days": days, "unit": unit}


async def later(text: str) -> str:
    await asyncio.sleep(0)
    return text.upper()


def undocumented():
    return None


def ending() -> None:
    raise SystemExit(3)


def interrupted() -> None:
    raise KeyboardInterrupt("by hand")


def cancelled() -> None:
    raise asyncio.CancelledError("by hand")


def closed() -> None:
    raise GeneratorExit("by hand")


def thread_of() -> str:
    return threading.current_thread().name


def positional(a: int, /) -> int:
    return a


def untold(clock: threading.Thread) -> None: ...


not_one = Place(city="Paris")


def tool_of(name: str, **entry):
    reference = f"{__name__}:{name}"
    return function_tool(ToolTerms(name=name, function=reference, **entry), reference)


def test_the_docstring_and_the_annotations_say_all():
    tool = tool_of("forecast")
    assert tool.description == "Tell the weather of the next days."
    assert tool.parameters["required"] == ["place"]
    properties = tool.parameters["properties"]
    assert properties["place"] == {"$ref": "#/$defs/Place", "description": "where; a city or a village."}
    assert properties["days"] == {"type": "integer", "minimum": 1, "default": 3, "description": "how many."}
    assert properties["unit"] == {"type": "string", "enum": ["C", "F"], "default": "C"}


def test_a_description_of_the_definition_goes_first_and_a_name_is_better_than_none():
    assert tool_of("forecast", description="Ask me.").description == "Ask me."
    assert tool_of("undocumented").description == "undocumented"
    assert tool_of("undocumented").parameters["properties"] == {}


@pytest.mark.parametrize(
    ("docstring", "text", "described"),
    [
        ("Go.\n\nArgs:\n    far (int): how far,\n        in km.\n\nReturns:\n    it", "Go.", "how far, in km."),
        ("Go.\n\nParameters\n----------\nfar : int\n    how far.", "Go.", "how far."),
        ("Go.\n\n:param far: how far.\n:returns: it", "Go.", "how far."),
        ("@return@returnReturns:\n:     :param", "@return@returnReturns: : :param", None),
    ],
    ids=["google", "numpy", "rest", "none"],
)
def test_a_docstring_has_any_of_the_usual_styles(monkeypatch, docstring, text, described):
    def go(far: int) -> None: ...

    go.__doc__ = docstring
    monkeypatch.setattr(sys.modules[__name__], "go", go, raising=False)
    tool = tool_of("go")
    assert tool.description == text
    assert tool.parameters["properties"]["far"].get("description") == described


async def test_arguments_become_what_the_annotations_say_and_results_text():
    assert await tool_of("forecast").call({"place": {"city": "Oslo"}, "days": "2"}) == (
        '{"city":"Oslo","days":2,"unit":"C"}'
    )
    assert await tool_of("later").call({"text": "hi"}) == "HI"
    assert await tool_of("undocumented").call({}) == ""


async def test_arguments_that_do_not_fit_are_told_to_the_model():
    with pytest.raises(ToolFailedError, match="place: Missing required argument; days: Input should be") as raised:
        await tool_of("forecast").call({"days": 0})
    assert "errors.pydantic.dev" not in str(raised.value)


async def test_a_blocking_function_does_not_hold_up_the_loop():
    assert await tool_of("thread_of").call({}) != threading.main_thread().name


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("ending", "SystemExit(3)"),
        ("interrupted", "KeyboardInterrupt(by hand)"),
        ("cancelled", "CancelledError(by hand)"),
        ("closed", "GeneratorExit(by hand)"),
    ],
)
async def test_a_function_that_would_end_more_ends_its_call_only(name, cause):
    with pytest.raises(ToolFailedError) as raised:
        await tool_of(name).call({})
    assert str(raised.value) == f"the tool raised {cause}"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nothing", "there is no 'nothing'"),
        ("not_one", "is a Place, not a function"),
        ("Place", "is a ModelMetaclass, not a function"),
        ("positional", "none may be positional only"),
        ("untold", "its parameters have no JSON schema"),
    ],
)
def test_what_cannot_be_a_tool(name, says):
    with pytest.raises(AgentLoadError, match=says):
        tool_of(name)
