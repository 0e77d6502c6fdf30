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
