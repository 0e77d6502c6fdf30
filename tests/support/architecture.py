"""Makes the tables of docs/architecture.md from the code.

``python -m tests.support.architecture`` writes them anew.
"""

import ast
import re
import tomllib
from typing import get_args

from k8gentai.agents.contract.events import Event
from tests.support.processes import ROOT

FLOORS = ("stack", "providers", "workers", "agents")
PAGE = ROOT / "docs" / "architecture.md"


def rooms_table() -> str:
    """Return the rooms of each floor, the highest first, with the first line of their docstrings."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {contract["containers"][0]: contract["layers"] for contract in contracts if "containers" in contract}
    rows = [
        f"| {floor} | `{room}` | {_held(floor, room)} |\n"
        for floor in FLOORS
        for layer in layers[f"k8gentai.{floor}"]
        for room in layer.split(" | ")
    ]
    return "| floor | room | holds |\n|---|---|---|\n" + "".join(rows)


def events_table() -> str:
    """Return each event's type with the first sentence of its docstring."""
    rows = [
        f"| `{kind.model_fields['type'].default}` | {first_sentence(kind.__doc__)} |\n"
        for kind in get_args(get_args(Event)[0])
    ]
    return "| type | what it says |\n|---|---|\n" + "".join(rows)


def _held(floor: str, room: str) -> str:
    folder = ROOT / floor / "k8gentai" / floor
    path = folder / room / "__init__.py" if (folder / room).is_dir() else folder / f"{room}.py"
    return first_sentence(ast.get_docstring(ast.parse(path.read_text())))


def first_sentence(docstring: str | None) -> str:
    """Return it on one line, with Markdown's marks for code."""
    paragraph = " ".join((docstring or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.]) ", paragraph)[0].replace("``", "`")


def _write(text: str, name: str, table: str) -> str:
    before, mark, rest = text.partition(f"<!-- {name} -->\n")
    return f"{before}{mark}{table}<!-- end -->{rest.partition('<!-- end -->')[2]}"


if __name__ == "__main__":
    PAGE.write_text(_write(_write(PAGE.read_text(), "rooms", rooms_table()), "events", events_table()))
