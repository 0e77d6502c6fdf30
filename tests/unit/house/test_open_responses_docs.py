"""What the documentation says of the Open Responses specification is what is measured."""

from tests.integration.open_responses.sentences import markdown, measured
from tests.support.processes import ROOT


def test_the_table_is_what_is_measured() -> None:
    text = (ROOT / "docs" / "open-responses.md").read_text()
    written = text.partition("markdown(measured()) -->\n")[2].partition("<!-- end -->")[0]
    assert written.strip() == markdown(measured()).strip()


def test_a_sentence_that_holds_is_not_listed_as_one_that_does_not() -> None:
    sentences = [(sentence.section, sentence.text) for sentence in measured() if sentence.departs is None]
    assert len(set(sentences)) == len(sentences)
