"""What workers/queue/README.md says of Redis is what the code has, and the scripts name nothing else."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from k8gentai.workers.queue import keys, stored
from k8gentai.workers.queue.record import AcceptedTurn, Status, TurnRecord
from tests.support import lua_scripts
from tests.support.processes import ROOT
from tests.support.queue_readme import (
    PAGE,
    QUEUE,
    callers,
    declared_keys,
    enders,
    fields,
    journal_kinds,
    moves,
    page,
    turn_fields,
    writers,
)

ACCESSES = {access for script in lua_scripts.names() for access in lua_scripts.accesses(script)}
PRODUCT = [ROOT / floor / "k8gentai" for floor in ("agents", "workers", "providers", "stack")]
HASH_READS = {"hget", "hmget", "hset", "hexists", "hdel", "hincrby"}


def _files(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]


def _texts(path: Path) -> list[str]:
    """Return the texts in a file's code, without its docstrings."""
    tree = ast.parse(path.read_text())
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (
        node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documentation
    )
    values = (node.value for node in constants)
    return [
        value.decode(errors="replace") if isinstance(value, bytes) else value
        for value in values
        if isinstance(value, str | bytes)
    ]


def test_the_page_is_made_from_the_code() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.support.queue_readme"


def test_every_name_of_a_key_is_declared_and_used() -> None:
    assert declared_keys().keys() == keys.ALL.keys()
    product = "\n".join(path.read_text() for path in _files(*PRODUCT) if path.name != "keys.py")
    in_python = {name.lower() for name in re.findall(r"\bkeys\.([A-Z_]+)\b", product)} - {"all"}
    assert in_python | lua_scripts.key_names() == keys.ALL.keys()


def test_a_declared_key_is_spelled_as_its_name_is() -> None:
    for name, declared in declared_keys().items():
        assert keys.ALL[name] in declared.pattern
        assert declared.ends


def test_scripts_treat_a_key_as_what_it_is_declared() -> None:
    declared = {name: key.type.split(" and ") for name, key in declared_keys().items()}
    types = {(access.key, lua_scripts.TYPES.get(access.command)) for access in ACCESSES}
    assert {(name, kind) for name, kind in types if kind and kind not in declared[name]} == set()


def test_scripts_name_the_fields_that_are_declared_and_no_others() -> None:
    named = {(access.key, field) for access in ACCESSES for field in access.fields} - {
        # Agents' ids; journal entries' keys; the fields that RQ wants a job to have.
        *(("waiting", "*"), ("journal", "*"), ("rq_job", "*"))
    }
    assert named == {(key, field) for key, held in fields().items() for field in held}


def test_every_field_is_written_by_a_script() -> None:
    assert [field for key, held in fields().items() for field in held if not writers(key, field)] == []


def test_what_is_read_of_a_turn_is_declared() -> None:
    """The record is made from the hash: its fields stand there, or in what was accepted."""
    own = TurnRecord.model_fields.keys() - AcceptedTurn.model_fields.keys()
    assert own - {"last_seq"} <= turn_fields().keys()


def test_python_names_only_declared_fields() -> None:
    declared = {field for held in fields().values() for field in held} | {keys.MISSING, keys.ALL_AGENTS}
    named = {
        argument.value
        for path in _files(QUEUE)
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in HASH_READS
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }
    assert named
    assert named <= declared


@pytest.mark.parametrize(
    "folder", [*PRODUCT, ROOT / "tests", ROOT / "bench"], ids=lambda folder: folder.parent.name
)
def test_keys_are_spelled_in_keys_py_alone(folder: Path) -> None:
    spelled = re.compile(r"\b(?:amf:[a-z*{]|rq:[a-z*{])")
    found = [(path.name, text) for path in _files(folder) for text in _texts(path) if spelled.search(text)]
    assert [each for each in found if each[0] != "keys.py"] == []


def test_every_script_is_run_by_a_class_of_the_queue() -> None:
    assert sorted(callers()) == lua_scripts.names()
    assert set(callers().values()) == {"Turns", "FinishedTurns", "Positions", "Attempts", "Leases"}


def test_every_state_is_declared() -> None:
    assert stored.STATES.keys() == set(get_args(Status))
    assert {script for _, script, _ in moves()} <= set(lua_scripts.names())


def test_every_kind_of_journal_entry_is_declared() -> None:
    assert all(kind.endswith(" ") for kind in journal_kinds())
    constants = {name for name in vars(stored) if name.isupper() and isinstance(vars(stored)[name], str)}
    assert {vars(stored)[name] for name in constants} == journal_kinds().keys()


def test_a_script_that_only_ends_a_key_does_not_write_it() -> None:
    assert writers("journal") == ["accept", "record"]
    assert "settled" in enders("journal")
    assert enders("turn", "broke_off_at") == ["break_off", "record"]


def test_a_key_that_a_script_hides_is_an_error() -> None:
    with pytest.raises(ValueError, match="which key is 'somewhere'"):
        list(lua_scripts.accessed(["'HSET'", "somewhere", "'status'", "1"], {}))
    with pytest.raises(ValueError, match="none of `keys`"):
        list(lua_scripts.accessed(["'HSET'", "turn .. ':extra'", "'status'", "1"], {"turn": ["turn"]}))
