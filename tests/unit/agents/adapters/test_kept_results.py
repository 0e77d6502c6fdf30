"""What is read back of a kept result equals it, type for type, or it is not kept."""

import importlib
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, ImportString, PrivateAttr

from k8gentai.agents.adapters.base.kept_results import is_same, read_result, round_trip, write_result


class Colour(StrEnum):
    RED = "red"


class Order(BaseModel):
    colour: Colour = Colour.RED
    at: datetime = datetime(2026, 1, 2, tzinfo=UTC)
    lines: dict[int, tuple[str, ...]] = Field(default_factory=dict, alias="rows")
    more: Any = None


class Free(BaseModel):
    """A record with fields of anybody's, and one of its own."""

    model_config = ConfigDict(extra="allow")
    _own: int = PrivateAttr()

    def __init__(self, own: int, **fields: Any) -> None:
        super().__init__(**fields)
        self._own = own


@dataclass
class Page:
    number: int
    order: Order


class Output:
    def __init__(self, result: object) -> None:
        self.result = result


def kept(value: object, kinds: tuple[type, ...] = ()) -> str | None:
    return round_trip(value, lambda each: write_result(each, kinds), lambda text: read_result(text, kinds))


@pytest.mark.parametrize(
    "value",
    [
        "text",
        None,
        1.0,
        float("nan"),
        {"a": [1, True, None]},
        {3: {"$class": "no class"}},
        (1, ("a", Order())),
        {1, "a"},
        [Order(rows={1: ("a", "b")})],
        Page(1, Order()),
        Colour.RED,
        [b"a", Decimal("1.50"), Path("a/b"), UUID(int=7), datetime(2026, 1, 2, tzinfo=UTC)],
    ],
)
def test_what_comes_back_is_of_the_same_type(value):
    text = kept(value)
    assert text is not None
    assert is_same(read_result(text), value)


@pytest.mark.parametrize(
    "value",
    [object(), ValueError("x"), Order(more=(1, 2)), Order(more=Colour.RED), b"\xff", Output(1), [Output(1)]],
)
def test_what_would_come_back_as_something_else_is_not_kept(value):
    assert kept(value) is None


def test_results_in_themselves_are_not_kept():
    value: list[Any] = []
    value.append(value)
    assert kept(value) is None


def test_objects_of_a_frameworks_own_classes_come_back_with_their_attributes():
    text = kept(Output((1, Order())), (Output,))
    assert text is not None
    again = read_result(text, (Output,))
    assert (type(again), again.result) == (Output, (1, Order()))


@pytest.mark.parametrize(
    "name", [f"{__name__}:Output", f"{__name__}:Gone", "no.such.module:Output", f"{__name__}:kept", "json:loads"]
)
def test_no_other_class_is_made(name):
    """Who writes the text chooses neither what is imported nor what is called."""
    with pytest.raises(LookupError, match=name):
        read_result(json.dumps({"$class": name, "$state": {}}))


class Hooked(BaseModel):
    """A record with a field that names code."""

    hook: ImportString[Any]


class Several(BaseModel):
    hooks: dict[str, list[Hooked]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pydantic.types:ImportString", "fractal.f"),
        (f"{__name__}:Hooked", {"hook": "fractal.f"}),
        (f"{__name__}:Several", {"hooks": {"a": [{"hook": "fractal.f"}]}}),
    ],
)
def test_no_text_imports(name, value, tmp_path, monkeypatch):
    """Who writes the text names no code that is to be run."""
    ran = tmp_path / "ran"
    (tmp_path / "fractal.py").write_text(f"open({str(ran)!r}, 'w')\ndef f(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LookupError):
        read_result(json.dumps({"$class": name, "$value": json.dumps(value)}))
    assert not ran.exists()


INSTALLED = """
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple
from pydantic import AfterValidator, BaseModel, Discriminator, Field, Tag, field_validator, model_validator

def run(cls, given):
    Path("ran").touch()
    return given

class Checked(BaseModel):
    name: str
    check = field_validator("name")(classmethod(run))

class Whole(BaseModel):
    check = model_validator(mode="before")(classmethod(run))

class Made(BaseModel):
    def __init__(self, **fields):
        run(Made, fields)
        super().__init__(**fields)

class Begun(BaseModel):
    def model_post_init(self, context):
        run(Begun, context)

@dataclass
class Record:
    name: str = ""
    def __post_init__(self):
        run(Record, self)

class Partial(BaseModel):
    name: Annotated[str, AfterValidator(partial(run, None))]

class Filled(BaseModel):
    name: str = ""
    more: str = Field(default_factory=lambda data: run(None, data["name"]))

class Colour(Enum):
    RED = "red"
    @classmethod
    def _missing_(cls, value):
        return run(cls, cls.RED)

class Coloured(BaseModel):
    name: Colour

class Named(NamedTuple):
    name: str

class Picked(BaseModel):
    name: Annotated[Annotated[str, Tag("a")] | Annotated[int, Tag("b")], Discriminator(lambda v: run(v, "a"))]

class Plain(BaseModel):
    name: str = ""
    more: list[str] = Field(default_factory=list)

@dataclass
class PlainRecord:
    name: str = ""
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A module of an installed package, with records."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "installed_records.py").write_text(INSTALLED)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(tmp_path)
    yield importlib.import_module("installed_records")
    del sys.modules["installed_records"]


@pytest.mark.parametrize(
    "name", ["Checked", "Whole", "Made", "Begun", "Record", "Partial", "Filled", "Coloured", "Picked"]
)
def test_no_code_of_an_installed_package_runs(installed, name):
    """It may run what the text names, as that of CrewAI does to read a tool."""
    text = json.dumps({"$class": f"installed_records:{name}", "$value": '{"name": "a"}'})
    with pytest.raises(LookupError, match="of an installed package"):
        read_result(text)
    assert not Path("ran").exists()
    assert read_result(text, records=(getattr(installed, name),)) is not None
    assert Path("ran").exists(), "what is expected of a framework may run"


def test_records_of_an_installed_package_without_code_are_read(installed):
    for kind in (installed.Plain, installed.PlainRecord, installed.Named):
        assert round_trip(kind(name="a"), write_result, read_result) is not None


def test_no_module_is_asked_for_what_it_has_not(monkeypatch):
    """A module's ``__getattr__`` may import what it is asked for."""
    asked: list[str] = []
    lazy = ModuleType("lazy")
    vars(lazy)["__getattr__"] = asked.append
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    with pytest.raises(LookupError):
        read_result(json.dumps({"$class": "lazy:Heavy", "$value": "{}"}))
    assert asked == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, True),
        (1, 1.0),
        ([1], (1,)),
        ({"a": 1}, {"a": True}),
        ({1}, {True}),
        (Order(), Order(more=1)),
        (Free(1), Free(2)),
        (Free(1, more=1), Free(1, more=True)),
    ],
)
def test_equal_values_of_other_types_are_not_the_same(first, second):
    assert is_same(first, first)
    assert not is_same(first, second)
