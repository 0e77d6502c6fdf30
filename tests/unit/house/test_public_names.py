"""The names for the code of agents: what is taken away or renamed here breaks people's agents."""

import subprocess
import sys

import pytest

import k8gentai.agents
from k8gentai.agents import AgentContext, ToolFailedError, idempotency_key


def test_are_just_these() -> None:
    assert k8gentai.agents.__all__ == ["AgentContext", "ToolFailedError", "idempotency_key"]


def test_are_what_factories_and_tools_use() -> None:
    fields = {"model", "tools", "conversation", "parameters", "log", "declared"}
    assert set(AgentContext.__dataclass_fields__) == fields
    assert str(ToolFailedError("no such order")) == "no such order"
    assert idempotency_key() is None, "no tool runs here"


def test_no_other_name_is_made_up() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = k8gentai.agents.nonsense


def test_the_package_imports_nothing_until_asked() -> None:
    code = "import sys, k8gentai.agents; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
