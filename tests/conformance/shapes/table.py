"""The table of the shapes, as the documentation has it: ``python -m tests.conformance.shapes.table`` prints it."""

import sys

from k8gentai.agents.adapters import FRAMEWORKS
from tests.conformance.shapes.shape import Column, Shape, shapes_of


def markdown() -> str:
    """A table a framework, with the reasons as notes below it."""
    return "\n".join(_table(framework, shapes) for framework in FRAMEWORKS if (shapes := shapes_of(framework)))


def _table(framework: str, shapes: tuple[Shape, ...]) -> str:
    notes = list(dict.fromkeys(why for shape in shapes for why in _reasons(shape).values()))
    rows = [
        f"| {shape.title} | {' | '.join(_cell(shape, column, notes) for column in Column)} |" for shape in shapes
    ]
    head = [f"| {framework} | {' | '.join(Column)} |", "|---" * (len(Column) + 1) + "|"]
    below = [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    return "\n".join([*head, *rows, "", *([*below, ""] if below else [])])


def _reasons(shape: Shape) -> dict[Column, str]:
    return {**shape.without, **shape.fails}


def _cell(shape: Shape, column: Column, notes: list[str]) -> str:
    if shape.has(column):
        return "yes"
    return f"{'no' if column in shape.fails else '–'} ({notes.index(_reasons(shape)[column]) + 1})"  # noqa: RUF001


if __name__ == "__main__":
    sys.stdout.write(markdown())
