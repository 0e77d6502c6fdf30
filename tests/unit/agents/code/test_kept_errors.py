"""What a tool raised is raised again: of its class, with its words and what it holds."""

import sys
from types import ModuleType
from typing import Annotated, Self

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from k8gentai.agents.code.kept_errors import read_error, write_error


class NotPaidError(ValueError):
    """Its constructor takes something else than its words, and its words are made of that."""

    def __init__(self, amount: int, *, by: str) -> None:
        super().__init__()
        self.amount = amount
        self.by = by

    def __str__(self) -> str:
        return f"{self.by} did not pay {self.amount}"


class PickyError(Exception):
    """Cannot be made without an object that no text has."""

    def __new__(cls, bank: object) -> Self:
        raise AssertionError("no code of a class runs")


class UnreachableError(OSError):
    """As requests' errors are: OSErrors with a constructor of their own."""

    def __init__(self, *args: object, request: object = None) -> None:
        self.request = request
        super().__init__(*args)


class Bill(BaseModel):
    """The arguments of a tool."""

    amount: Annotated[int, Field(gt=0)]
    to: str

    @field_validator("to")
    @classmethod
    def _to_somebody(cls, to: str) -> str:
        if not to:
            raise ValueError("nobody")
        if to == "me":
            raise PydanticCustomError("own", "not to {to}", {"to": to})
        return to


def refused(**arguments: object) -> ValidationError:
    """Return what arguments of a tool are refused with."""
    with pytest.raises(ValidationError) as refusal:
        Bill.model_validate(arguments)
    return refusal.value


def same(error: Exception) -> Exception:
    written = write_error(error)
    assert written is not None
    return read_error(written)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        ValueError(),
        KeyError("amount"),
        RuntimeError("out of", 2),
        FileNotFoundError(2, "No such file", "bill.txt"),
        NotPaidError(3, by="Ann"),
        UnreachableError("cannot reach http://x"),
        TimeoutError("half \ud83d of a pair".encode("utf-16", "surrogatepass").decode("utf-16", "replace")),
    ],
)
def test_an_error_is_of_its_class_and_says_the_same(error: Exception) -> None:
    again = same(error)
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_it_has_its_cause_again_as_far_as_that_can_be_kept() -> None:
    error = RuntimeError("no")
    error.__cause__ = OSError(2, "gone")
    cause = same(error).__cause__
    assert isinstance(cause, OSError)
    assert cause.errno == 2
    error.__cause__ = ValueError(b"x")
    assert same(error).__cause__ is None


def test_no_constructor_runs() -> None:
    picky = Exception.__new__(PickyError)
    picky.args = ("the bank is closed",)
    again = same(picky)
    assert (type(again), str(again)) == (PickyError, "the bank is closed")


def test_an_error_whose_class_is_not_loaded_is_the_nearest_of_pythons_own() -> None:
    module = sys.modules["bank"] = ModuleType("bank")
    module.Closed = type("Closed", (LookupError,), {"__module__": "bank"})  # type: ignore[attr-defined]
    written = write_error(module.Closed("the bank is closed"))
    assert written is not None
    del sys.modules["bank"]
    again = read_error(written)
    assert (type(again), str(again)) == (LookupError, "the bank is closed")


@pytest.mark.parametrize(
    "error",
    [
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ExceptionGroup("two", [ValueError()]),
        UnreachableError("cannot reach http://x", request=object()),
        KeyError((1, 2)),
        ValueError(b"x"),
    ],
)
def test_what_would_come_back_as_something_else_is_not_kept(error: Exception) -> None:
    """Code that catches it reads more of it than its words."""
    assert write_error(error) is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"amount": "many", "to": "Ann"},
        {"amount": 0, "to": ""},
        {"to": {"name": ["Ann"]}},
        {"amount": 1, "to": None},
    ],
)
def test_what_arguments_are_refused_with_is_raised_again(arguments: dict[str, object]) -> None:
    error = refused(**arguments)
    again = read_error(write_error(error) or "")
    assert isinstance(again, ValidationError)
    assert (str(again), again.title) == (str(error), "Bill")
    both = [each.errors(include_url=False, include_context=False) for each in (again, error)]
    assert both[0] == both[1]


def test_refusals_that_no_text_makes_again_are_not_kept() -> None:
    assert write_error(refused(amount=object(), to="Ann")) is None
    assert write_error(refused(amount=1, to="me")) is None


@pytest.mark.parametrize("kind", ["builtins:print", "os:system", "nowhere:Error", "builtins:object"])
def test_only_errors_are_made(kind: str) -> None:
    written = write_error(ValueError("no"))
    assert written is not None
    assert type(read_error(written.replace("builtins:ValueError", kind))) is ValueError
