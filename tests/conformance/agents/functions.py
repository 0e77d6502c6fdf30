"""A function that a definition names as a tool; it needs no framework."""


def repeat(word: str, times: int = 2) -> str:
    """Repeat a word.

    Args:
        word: which.
        times: how often.
    """
    return " ".join([word] * times)
