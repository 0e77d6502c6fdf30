"""Makes the queue's README.md from the code: what stands in Redis, who writes it, and when it ends.

``python -m tests.support.queue_readme`` writes it anew.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, get_args

from k8gentai.agents.contract.events import Event
from k8gentai.workers.queue import keys, stored
from tests.support import lua_scripts
from tests.support.architecture import FLOORS, first_sentence
from tests.support.processes import ROOT

QUEUE = ROOT / "workers" / "k8gentai" / "workers" / "queue"
PAGE = QUEUE / "README.md"
_EVENTS_MODULE = "k8gentai.agents.contract.events"
NOT_KEPT = {"last_seq"}
"""What of a turn's record is made up when it is read."""

_HEAD = """# What stands in Redis

Made from the code by `python -m tests.support.queue_readme`; a test holds it to the code. The names are those of
[keys.py](keys.py), what stands there is declared in [stored.py](stored.py) and [record.py](record.py), and the
scripts are in [lua/](lua). A turn's life, for readers, is in [the
architecture](../../../../docs/architecture.md).

`AMF_KEY_PREFIX` stands before every key and channel; with a hash tag in it all of them lie in one slot of a Redis
Cluster, as those of each script must.

*For as long as a server keeps turns* is `keep_seconds` of `Turns`: a day, where nothing else is said.
"""
_SCRIPTS = """
## Scripts

All of a turn's life is in these: Redis runs each whole or not at all. `Turns` and `Positions` are the server's,
`Attempts` and `Leases` the worker's; the worker's witness and its beating thread use `Leases` too.

"""
_KEYS = """
## Keys

*Written by* names the scripts that put something there or change it, *ended by* those that take something away or
say when it ends; what Python code does beside them is named as such.

"""
_TURN = """
## Fields of a turn's hash

They end with the hash. Times are Redis', Unix time in seconds.

"""
_OTHERS = """
## Fields of other hashes, and of streams' entries

"""
_JOURNAL = """
## Entries of a journal

All are written by `record`, which counts the answered `model` calls, the ended `tool` calls and each `effect` on
the turn, and end with the journal.

"""
_STATES = """
## States

`status` of the turn's hash. Every change of it goes through `set_status` of [the prelude](lua/prelude.lua), which
counts the turns that wait. A turn that another turn's tool call asked for is also cancelled by whichever script
ends that one. What has ended stands in the stream of finished turns until a server has settled it.

"""
_EVENTS = """
## Events

The entries of a turn's stream. Those of an attempt are written by `append`, the first one by `accept`; a last
event is also written by whichever script ends the turn (see the states). They end with the stream.

"""


class Declared(NamedTuple):
    """What a name's docstring says of it."""

    pattern: str
    """As the whole key is written, with what varies in braces."""
    type: str
    """Of Redis' types; or a channel, a consumer group, a field. Two are joined by *and*."""
    holds: str
    written_by: str
    """Python code; empty where scripts alone write there."""
    ends: str


def declared_keys() -> dict[str, Declared]:
    """Return what stands behind each name of keys.py, by the name as scripts write it.

    Raises:
        ValueError: a docstring has not got the form.
    """
    return {
        name.lower(): _declared(name, text) for name, text in _docstrings(Path(keys.__file__)) if name != "ALL"
    }


def journal_kinds() -> dict[str, Declared]:
    """Return what each kind of journal entry is, by what its keys begin with."""
    return {
        getattr(stored, name): _declared(name, text)
        for name, text in _docstrings(Path(stored.__file__))
        if text.startswith("``")
    }


def turn_fields() -> dict[str, str]:
    """Return what each field of a turn's hash holds."""
    tree = ast.parse((QUEUE / "record.py").read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    read = {
        name: _one_line(text)
        for node in classes
        if node.name in ("CallCounts", "TurnRecord")
        for name, text in _attributes(node)
        if name not in NOT_KEPT
    }
    return {**stored.FIELDS[keys.TURN], **read}


def fields() -> dict[str, dict[str, str]]:
    """Return what each declared field holds, by its key's name."""
    others = {name: dict(held) for name, held in stored.FIELDS.items() if name != keys.TURN}
    return {_name(key): held for key, held in {keys.TURN: turn_fields(), **others}.items()}


def callers() -> dict[str, str]:
    """Return the class that runs each script."""
    return {
        str(call.args[1].value): node.name
        for path in QUEUE.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "prepared"
        and isinstance(call.args[1], ast.Constant)
    }


def writers(key: str, field: str | None = None) -> list[str]:
    """Return the scripts that put something into a key, or a field of it, or change it."""
    return _those(lambda access: access.key == key and access.puts(field))


def enders(key: str, field: str | None = None) -> list[str]:
    """Return the scripts that take something from a key, or a field of it, or say when it ends."""
    return _those(lambda access: access.key == key and access.ends(field))


def moves() -> set[tuple[str | None, str, str]]:
    """Return how turns go from state to state: the one they had, the script, the one they get."""
    return {
        (before, script, status)
        for status, state in stored.STATES.items()
        for before, scripts in state.entered.items()
        for script in scripts
    }


def _those(does: Callable[[lua_scripts.Access], bool]) -> list[str]:
    return [script for script in lua_scripts.names() if any(map(does, lua_scripts.accesses(script)))]


def page() -> str:
    """Return the whole of README.md."""
    return "".join(
        [
            _HEAD,
            _SCRIPTS,
            _table(("script", "run by", "what it does"), _script_rows()),
            _KEYS,
            _table(("key", "type", "holds", "written by", "ends", "ended by"), _key_rows()),
            _TURN,
            _table(("field", "holds", "written by", "removed by"), _field_rows("turn")),
            _OTHERS,
            _table(("key", "field", "holds", "written by"), _other_rows()),
            _JOURNAL,
            _table(("key", "holds", "recorded by"), _journal_rows()),
            _STATES,
            _table(("state", "means", "entered by", "left for"), _state_rows()),
            _EVENTS,
            _table(("type", "what it says", "made in"), _event_rows()),
        ]
    )


def _script_rows() -> Iterator[Iterable[str]]:
    for script, caller in sorted(callers().items()):
        yield f"`{script}`", f"`{caller}`", lua_scripts.summary(script)


def _key_rows() -> Iterator[Iterable[str]]:
    for name, key in declared_keys().items():
        by = [_code(writers(name)), _one_line(key.written_by)]
        yield f"`{key.pattern}`", key.type, key.holds, "; ".join(filter(None, by)), key.ends, _code(enders(name))


def _field_rows(key: str) -> Iterator[tuple[str, ...]]:
    for field, holds in fields()[key].items():
        yield f"`{field}`", holds, _code(writers(key, field)), _code(enders(key, field))


def _other_rows() -> Iterator[Iterable[str]]:
    for key in fields():
        if key != "turn":
            for row in _field_rows(key):
                yield f"`{declared_keys()[key].pattern}`", *row[:-1]


def _journal_rows() -> Iterator[Iterable[str]]:
    for kind in journal_kinds().values():
        yield f"`{kind.pattern}`", kind.holds, kind.written_by


def _state_rows() -> Iterator[Iterable[str]]:
    for status, state in stored.STATES.items():
        entered = [
            (f"from `{before}`: " if before else "new: ") + _code(scripts)
            for before, scripts in state.entered.items()
        ]
        left = [after for after, other in stored.STATES.items() if status in other.entered]
        yield f"`{status}`", state.means, "; ".join(entered), _code(left)


def _event_rows() -> Iterator[Iterable[str]]:
    made = _made_in()
    for kind in get_args(get_args(Event)[0]):
        rooms = sorted(room for room, names in made.items() if kind.__name__ in names)
        yield f"`{kind.model_fields['type'].default}`", first_sentence(kind.__doc__), _code(rooms)


def _made_in() -> dict[str, set[str]]:
    """Return the classes of events that each room of the house makes, ``floor/room``."""
    found: dict[str, set[str]] = {}
    for floor in FLOORS:
        folder = ROOT / floor / "k8gentai" / floor
        for path in folder.rglob("*.py"):
            room = path.relative_to(folder).parts[0].removesuffix(".py")
            found.setdefault(f"{floor}/{room}", set()).update(_events_of(ast.parse(path.read_text())))
    return found


def _events_of(module: ast.Module) -> set[str]:
    """Return the classes of events that a module makes."""
    imported = {
        name.name
        for node in module.body
        if isinstance(node, ast.ImportFrom) and node.module == _EVENTS_MODULE
        for name in node.names
    }
    calls = {
        node.func.id for node in ast.walk(module) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return imported & calls


def _name(key: str) -> str:
    return next(name for name, value in keys.ALL.items() if value == key)


def _docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the constants of a module that have docstrings, with these."""
    yield from _attributes(ast.parse(path.read_text()))


def _attributes(node: ast.Module | ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, following in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            yield statement.target.id, str(following.value.value)


def _declared(name: str, docstring: str) -> Declared:
    form = r"``(.+?)``(?:, an? ([a-z ]+))?: (.+?)\n(?:\n(?:Written by: (.+?)\n)?(?:Ends: (.+)\n)?)?"
    if not (found := re.fullmatch(form, docstring, re.S)):
        raise ValueError(f"{name} says not in the form of its neighbours what it holds: {docstring}")
    pattern, *rest = (_one_line(part or "") for part in found.groups())
    return Declared(pattern, *rest)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
