"""Finding what an agent's code holds or names, without running it."""

import functools
import shlex
from dataclasses import dataclass, field
from typing import Any

import tests.unit.conftest
from k8gentai.agents.code.loading import own_place
from k8gentai.agents.code.reachable import data_classes, handed_on, reachable


class Tool:
    """What is looked for."""

    def __init__(self, name: str) -> None:
        self.name = name


class Slotted:
    __slots__ = ("tool",)

    def __init__(self, tool: Tool) -> None:
        self.tool = tool


@dataclass
class Node:
    parts: dict[str, Any] = field(default_factory=dict)

    def __call__(self, state: object) -> object:
        return GLOBAL.name

    @property
    def never(self) -> Tool:
        raise RuntimeError("a property was read")


GLOBAL = Tool("global")
TABLE = {"t": Tool("in a table")}
LOOP: list[object] = []
LOOP.append(LOOP)


def names(root: object) -> set[str]:
    return {part.name for part in reachable(root) if isinstance(part, Tool)}


def pay() -> None: ...


def refund() -> None: ...


def make_tool(function: object) -> object:
    return function


def test_attributes_members_closures_slots_and_partials_are_followed() -> None:
    enclosed = Tool("enclosed")

    def node(state: object, tool: Tool) -> object:
        return enclosed

    root = [
        functools.partial(node, tool=Tool("bound")),
        Slotted(Tool("in a slot")),
        Node({"a": (Tool("deep"),)}),
        LOOP,
    ]
    assert names(root) == {"enclosed", "bound", "in a slot", "deep", "global"}


def test_a_functions_globals_are_followed_where_its_code_names_them() -> None:
    def node() -> object:
        return [lambda: TABLE["t"]]

    assert names(node) == {"in a table"}
    assert names(Node().__call__) == {"global"}


def test_modules_lead_nowhere_but_to_what_is_named_of_them() -> None:
    tests.unit.conftest.TOOL = Tool("of a module")  # type: ignore[attr-defined]

    def node() -> object:
        return tests.unit.conftest.TOOL  # type: ignore[attr-defined]

    assert names(tests.unit.conftest) == set()


def test_functions_that_are_handed_on_or_made_may_be_tools_and_those_called_are_none() -> None:
    def factory(context: object) -> object:
        def own() -> None: ...

        refund()
        shlex.join([])
        return [make_tool(pay), own, shlex.split]

    assert handed_on(factory) == {"pay", "own", "split"}


def test_data_classes_beside_the_agents_functions_may_stand_for_tools() -> None:
    assert data_classes(pay) == {"Node"}


def test_the_place_of_the_agents_code_is_its_innermost_line() -> None:
    assert own_place().startswith("tests/unit/agents/code/test_reachable.py:")
    assert own_place().endswith("(test_the_place_of_the_agents_code_is_its_innermost_line)")
