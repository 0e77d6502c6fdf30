"""The faults of a resource, in words for the person who wrote it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from k8gentai.agents.resources.agent import POOL_WORDS, UNKNOWN_FRAMEWORK
from k8gentai.agents.text.suggestion import did_you_mean


@dataclass(frozen=True)
class Fault:
    """Something wrong with a resource. Lines count from 1."""

    file: str
    line: int
    reason: str
    variable: str | None = None
    """The variable of the environment that is not set, where that is the fault."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def unknown(field: str, given: object, known: Collection[str]) -> str:
    """Return the reason of a fault: a field that is to name one of a few names another, or nothing."""
    if not isinstance(given, str):
        return f"{field}: is to be one of {', '.join(known)}"
    return f"{field}: unknown {field} {given!r}{did_you_mean(given, known) or f'; known are {", ".join(known)}'}"


def reason(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Return pydantic's finding, for a person who does not know pydantic.

    Args:
        error: the finding.
        model: the model that the resource was read as.
    """
    where = ".".join(str(part) for part in error["loc"])
    given: Any = error["input"]
    if error["type"] == UNKNOWN_FRAMEWORK:
        return f"{where}: {error['msg']}"
    if error["type"] == "missing":
        return f"{where}: is missing"
    if error["type"] == "extra_forbidden":
        return f"{where}: there is no such field{meant(error['loc'], model)}"
    if error["loc"] == ("metadata", "name"):
        return f"{where}: {given!r} is not an id: lower-case letters, digits and hyphens, 63 at most"
    if error["loc"][-1] in ("entrypoint", "function") and error["type"] == "string_pattern_mismatch":
        return f"{where}: {given!r} is not of the form package.module:object"
    if error["loc"][-1] in ("framework", "pool") and error["type"] == "string_pattern_mismatch":
        return f"{where}: {given!r} {POOL_WORDS}"
    if error["loc"][-1] == "url" and error["type"] == "string_pattern_mismatch":
        # It may hold a password.
        return f"{where}: it does not begin with http:// or https://"
    if error["type"] == "value_error":
        # What was given is a whole mapping, which may hold a secret.
        return f"{where}: {error['ctx']['error']}"
    if "headers" in error["loc"] or "env" in error["loc"]:
        return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}"
    return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}, not {given!r}"


def meant(location: tuple[str | int, ...], model: type[BaseModel]) -> str:
    """Return a hint at the field of a model that may be meant by one that is not there."""
    kind: type[BaseModel] | None = model
    for name in location[:-1]:
        if kind is not None and isinstance(name, str):
            field = next((f for known, f in kind.model_fields.items() if name in (known, f.alias)), None)
            kind = _model_in(field.annotation) if field else None
    names = [field.alias or known for known, field in kind.model_fields.items()] if kind else []
    return did_you_mean(str(location[-1]), names)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field holds, be it one of several or none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
