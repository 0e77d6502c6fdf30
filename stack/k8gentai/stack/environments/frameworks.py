"""Finds the frameworks that there are here, and the Python that runs each: ours, and those whose adapters somebody
names.

``AMF_ADAPTERS`` names them, with commas between: ``FRAMEWORK=MODULE:CLASS@PYTHON``, where ``:CLASS`` may be left
out if the module has one adapter, and ``@PYTHON`` if this interpreter can import it::

    AMF_ADAPTERS=echo=my_package.adapter@/opt/echo/bin/python
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.agents.text.suggestion import did_you_mean
from k8gentai.stack.environments.installed import Say, SetUpError, interpreter_for, is_made

VARIABLE = "AMF_ADAPTERS"
USUAL = ("langgraph", "llama-stack")
"""The frameworks that are in use where none is named: they are quickly installed."""
_NAMED = re.compile(r"(?P<framework>[a-z0-9][-a-z0-9]*)=(?P<adapter>[\w.]+(:\w+)?)(@(?P<python>.+))?")


@dataclass(frozen=True)
class NamedAdapter:
    """An adapter that is not among ours."""

    framework: str
    adapter: str
    """``package.module:Class``, or the module alone."""
    python: Path
    """The interpreter that can import it, and k8gentai."""

    def __str__(self) -> str:
        return f"{self.framework}={self.adapter}@{self.python}"


def named_adapters(environment: Mapping[str, str] = os.environ) -> dict[str, NamedAdapter]:
    """Return the adapters that the operator names, by their framework.

    Raises:
        SetUpError: the variable cannot be read, or names a framework that we have an adapter for.
    """
    found: dict[str, NamedAdapter] = {}
    for entry in (environment.get(VARIABLE) or "").split(","):
        if not entry.strip():
            continue
        match = _NAMED.fullmatch(entry.strip())
        if match is None:
            raise SetUpError(f"{VARIABLE}: '{entry.strip()}' is not of the form FRAMEWORK=MODULE:CLASS@PYTHON.")
        framework = match["framework"]
        if framework in FRAMEWORKS:
            raise SetUpError(f"{VARIABLE}: there is an adapter of '{framework}' already; give yours another name.")
        # As Python itself tells its own path, by which a worker knows that it runs in the right one.
        python = Path(os.path.abspath(match["python"] or sys.executable))  # noqa: PTH100 - links are not followed
        found[framework] = NamedAdapter(framework, match["adapter"], python)
    return found


def all_frameworks() -> tuple[str, ...]:
    """Return the names of all frameworks there is an adapter for here.

    Raises:
        SetUpError: see `named_adapters`.
    """
    return (*FRAMEWORKS, *named_adapters())


def frameworks_here() -> tuple[str, ...]:
    """Return the names of the frameworks in use where nobody says which: the usual ones, those whose environments
    are made, and those whose adapters the operator names.

    Raises:
        SetUpError: see `named_adapters`.
    """
    return tuple(name for name in all_frameworks() if name in USUAL or name not in FRAMEWORKS or is_made(name))


def chosen(names: str) -> tuple[str, ...]:
    """Return the frameworks that a person named: a list with commas, or ``all``.

    Raises:
        SetUpError: there is none of that name.
    """
    if names == "all":
        return all_frameworks()
    named = [name.strip() for name in names.split(",") if name.strip()]
    for name in named:
        check_framework(name, "or all")
    return tuple(dict.fromkeys(named))


def check_framework(name: str, *more: str) -> None:
    """Say so where there is no such framework.

    Args:
        name: the name as a person gave it.
        more: the other names that there are.

    Raises:
        SetUpError
    """
    if name not in (known := all_frameworks()):
        hint = did_you_mean(name, known) or "."
        raise SetUpError(f"There is no framework '{name}'{hint} There are: {', '.join([*known, *more])}.")


def python_of(framework: str, say: Say) -> Path:
    """Return the Python that runs a framework; the environment of one of ours is made first where needed.

    Raises:
        SetUpError: there is no such framework or interpreter, or its environment cannot be made.
    """
    if (named := named_adapters().get(framework)) is None:
        return interpreter_for(framework, say)
    if not named.python.is_file():
        raise SetUpError(f"{VARIABLE}: there is no {named.python} to run '{framework}' with.")
    return named.python
