"""Has models know the tools that a definition or a request names by just those names: CrewAI makes ``send_mail``
of ``sendMail``, which no rule is about, and no client knows."""

import sys

from crewai.llms.providers.utils import common
from crewai.utilities import string_utils

from k8gentai.agents.adapters.crewai.run import current_run

_NAME = "sanitize_tool_name"
_sanitize = string_utils.sanitize_tool_name
_validate = common.validate_function_name


def tool_name(name: str, *most: int) -> str:
    """Return a tool's name as models know it.

    Args:
        name: as the tool has it, or as a model writes it.
        most: how long it may be.
    """
    return name if _is_named(name) else _sanitize(name, *most)


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
