"""Every page of the documentation is in its index, and every link of a page leads to a file."""

import re

import pytest

from tests.support.processes import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
QUEUE = ROOT / "workers" / "k8gentai" / "workers" / "queue" / "README.md"
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")


def test_the_index_has_every_page() -> None:
    linked = set(LINK.findall((ROOT / "docs" / "README.md").read_text()))
    assert linked >= {page.name for page in PAGES if page.name != "README.md"}


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", QUEUE],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_every_link_leads_to_a_file(page) -> None:
    gone = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert gone == []
