"""Functions that definitions name as tools."""


def multiply(a: int, b: int) -> int:
    """Multiply two numbers.

    Args:
        a: the one.
        b: the other.
    """
    return a * b


def flood(size: int) -> str:
    """Give that many characters.

    Args:
        size: how many.
    """
    return "x" * size


def measure() -> dict[str, object]:
    """Measure: Python writes such numbers as what is not JSON."""
    return {"mean": float("nan"), "most": [float("inf"), 1.5], "word": "NaN"}
