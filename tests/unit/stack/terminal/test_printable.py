"""What models and tools write is printed, and moves nothing on a terminal."""

import pytest

from k8gentai.stack.terminal.printable import printable
from k8gentai.stack.terminal.question import described


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zwölf Boxkämpfer\n\tjagen 🎉", "Zwölf Boxkämpfer\n\tjagen 🎉"),
        ("\x1b[1A\x1b[2Kpay(1)", "\\x1b[1A\\x1b[2Kpay(1)"),
        ("one\rtwo\x9b2K\x7f", "one\\rtwo\\x9b2K\\x7f"),
        ("\u202e000,1\u2066", "\\u202e000,1\\u2066"),
    ],
)
def test_characters_that_are_no_text_are_escaped(text, shown):
    assert printable(text) == shown


def test_a_call_that_a_person_is_asked_about_cannot_rewrite_the_question():
    assert described("pay\x1b[2K", '{"to": "\u202eadA"}') == 'pay\\x1b[2K({"to": "\\u202eadA"})'
