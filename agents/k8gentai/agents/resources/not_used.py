"""Fields that a resource may have and that nothing reads: marked where declared, named in a warning."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from k8gentai.agents.resources.resource import Resource

Location = tuple[str | int, ...]
"""The place of a field in a resource: names as YAML has them, and positions in lists."""


def _always(_spec: Any) -> bool:
    return True


@dataclass(frozen=True)
class NotUsed:
    """Marks a field, as ``Annotated[str | None, NotUsed()]``. Who begins to read the field takes the mark away."""

    when: Callable[[Any], bool] = _always
    """Whether it holds for a resource with this ``spec``."""
    reason: str = ""
    """The reason why nothing reads the field; empty where it is only too new."""


def fields_not_used(resource: Resource) -> list[tuple[Location, str]]:
    """Return where a resource says something that nothing reads, each with the mark's reason.

    A field that says what it says anyway is left out.
    """
    return list(_inside(resource, resource.spec, ()))


def _inside(part: BaseModel, spec: Any, where: Location) -> Iterator[tuple[Location, str]]:
    for name, field in type(part).model_fields.items():
        value, here = getattr(part, name), (*where, field.alias or name)
        if value == field.get_default(call_default_factory=True):
            continue
        marks = [mark for mark in field.metadata if isinstance(mark, NotUsed) and mark.when(spec)]
        if marks:
            yield here, marks[0].reason
        elif isinstance(value, BaseModel):
            yield from _inside(value, spec, here)
        elif isinstance(value, list):
            for number, each in enumerate(value):
                if isinstance(each, BaseModel):
                    yield from _inside(each, spec, (*here, number))
