"""What the tools of every shape do, and what its structured answers are. Each framework wraps them as it does."""

from pydantic import BaseModel

from k8gentai.stack.conformance.tools import write


class Order(BaseModel):
    """What was ordered."""

    item: str
    amount: int


def look(path: str, item: str) -> str:
    """Look up what an item costs, and note in a file that it was asked for."""
    write(path, item)
    return f"{item} costs 3"


def pay(path: str, amount: int) -> str:
    """Pay an amount, and note it in a file."""
    write(path, str(amount))
    return f"paid {amount}"


def fail(reason: str) -> str:
    """Fail for a reason."""
    raise LookupError(f"it failed: {reason}")
