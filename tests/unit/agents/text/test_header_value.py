"""Credentials that are sent as HTTP headers."""

import pytest

from k8gentai.agents.text.header_value import header_value


@pytest.mark.parametrize(
    ("given", "sent"), [("", ""), ("sk-1", "sk-1"), (" sk-1\r\n", "sk-1"), ("Basic a b=", "Basic a b=")]
)
def test_white_space_around_it_is_not_sent(given: str, sent: str) -> None:
    assert header_value(given) == sent


@pytest.mark.parametrize("given", ["sk-1\nx", "sk\r\nHost: x", "sk\t1", "sk-é", "sk-\x00", "sk-\x7f", "sk-\ud800"])
def test_what_no_header_has_is_refused_without_being_told(given: str) -> None:
    with pytest.raises(ValueError, match="no HTTP header may") as caught:
        header_value(given)
    assert "sk" not in str(caught.value)
