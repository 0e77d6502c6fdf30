"""What docs/architecture.md says of rooms, events and states is what the code has."""

import tomllib
from typing import get_args

from k8gentai.agents.contract.events import Event
from k8gentai.workers.queue.record import Status
from tests.support.architecture import events_table, rooms_table
from tests.support.processes import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
PRINT = "print it anew: python -m tests.support.architecture"


def _written(name: str) -> str:
    return TEXT.partition(f"<!-- {name} -->\n")[2].partition("<!-- end -->")[0]


def test_the_rooms_are_those_there_are() -> None:
    assert _written("rooms") == rooms_table(), PRINT


def test_the_events_are_those_there_are() -> None:
    assert _written("events") == events_table(), PRINT


def test_every_state_has_a_row() -> None:
    life = TEXT.partition("## A turn's life")[2].partition("##")[0]
    states = {
        word.strip().strip("`")
        for row in life.split("\n")
        if row.startswith("| `")
        for word in row.split("|")[1].split(",")
    }
    assert states == set(get_args(Status))


def test_every_floor_is_held_to_its_order() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = {container for contract in contracts for container in contract.get("containers", [])}
    assert held >= {"k8gentai.agents", "k8gentai.workers", "k8gentai.providers", "k8gentai.stack"}
    assert len(get_args(get_args(Event)[0])) == events_table().count("\n") - 2
