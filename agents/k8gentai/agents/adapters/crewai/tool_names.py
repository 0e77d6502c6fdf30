"""Has models know the tools that a definition or a request names by just those names: CrewAI makes ``send_mail``
of ``sendMail``, which no rule is about, and no client knows."""

import sys

from crewai.llms.providers.utils import common
from crewai.utilities import string_utils

from k8gentai.agents.adapters.crewai.run import current_run
from k8gentai.agents.contract.turn import AgentLoadError
from k8gentai.agents.resources.agent import TOOL_NAME, AgentDefinition

_NAME = "sanitize_tool_name"
_sanitize = string_utils.sanitize_tool_name
_validate = common.validate_function_name


def tool_name(name: str, *most: int) -> str:
    """Return a tool's name as models know it.

    Args:
        name: the name as the tool has it, or as a model writes it.
        most: the most characters that it may have.
    """
    return name if _is_named(name) else _sanitize(name, *most)


def check_names(definition: AgentDefinition) -> None:
    """Refuse a rule for a name that models do not take: they know such a tool by the one that CrewAI makes of it.

    Raises:
        AgentLoadError: naming the field at fault.
    """
    for number, entry in enumerate(definition.spec.tools):
        if entry.source is None and not TOOL_NAME.fullmatch(entry.name):
            hint = f"; did you mean {made!r}?" if (made := _sanitize(entry.name)) else ""
            raise AgentLoadError(f"spec.tools.{number}.name: {entry.name!r} is no name that models take{hint}")


def hook_names() -> None:
    """Have CrewAI name tools so. Doing it twice changes nothing."""
    for module in [module for name, module in sys.modules.items() if name.partition(".")[0] == "crewai"]:
        if vars(module).get(_NAME) is _sanitize:
            setattr(module, _NAME, tool_name)
    common.validate_function_name = _valid


def _is_named(name: str) -> bool:
    run = current_run.get()
    return run is not None and name in run.named


def _valid(name: str, *provider: str) -> str:
    """Return a name that models are offered: they take more than CrewAI does.

    Raises:
        ValueError: it is none.
    """
    return name if _is_named(name) else _validate(name, *provider)
