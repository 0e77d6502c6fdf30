"""What a model call offers and wants called, as its turn's request says."""

import pytest

from k8gentai.agents.adapters.base.tool_choice import ToolChoice, tool_choice
from k8gentai.agents.contract.turn import Turn

ADD, FINAL = ({"type": "function", "function": {"name": name}} for name in ("add", "final_answer"))
NAMED = {"type": "function", "name": "add"}
BODY = {"model": "m", "tools": [ADD, FINAL], "parallel_tool_calls": True}


def _choice(asked):
    tools = [{"type": "function", "name": "shout"}]
    return tool_choice(Turn(id="t", agent="a", input=[], tools=tools, parameters={"tool_choice": asked}), ["add"])


@pytest.mark.parametrize(
    "asked", [None, "auto", {"type": "allowed_tools", "mode": "auto", "tools": []}, {"type": "allowed_tools"}]
)
def test_what_is_left_to_the_model_changes_no_call(asked):
    assert _choice(asked) is None


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("required", "required"),
        (NAMED, ADD),
        ({"type": "allowed_tools", "mode": "required", "tools": []}, "required"),
    ],
)
def test_a_call_is_required_until_one_was_made(asked, sent):
    choice = _choice(asked)
    assert choice == ToolChoice(sent, frozenset({"add", "shout"}))
    first = {**BODY, "tools": [ADD], "tool_choice": sent}
    # Whatever the framework makes of it.
    for own in ({}, {"tool_choice": "auto"}, {"tool_choice": sent}):
        assert choice.held({**BODY, **own}, called=False) == first
    assert choice.held({**BODY, "tool_choice": sent}, called=True) == {**BODY, "tool_choice": "auto"}
    for own in ({}, {"tool_choice": "auto"}, {"tool_choice": FINAL}):
        assert choice.held({**BODY, **own}, called=True) == {**BODY, **own}


def test_a_call_without_tools_requires_none():
    assert _choice("required").held({"model": "m"}, called=False) == {"model": "m"}


@pytest.mark.parametrize("called", [True, False])
def test_no_tools_are_offered_where_none_may_be_called(called):
    assert _choice("none").held({**BODY, "tool_choice": "none"}, called=called) == {"model": "m"}
