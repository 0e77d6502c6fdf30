"""A function that a definition names as a tool."""


def count_words(text: str) -> int:
    """Count the words of a text.

    Args:
        text: what to count.
    """
    return len(text.split())
