"""What the documentation says of agents' shapes is what is declared."""

from k8gentai.agents.adapters import FRAMEWORKS
from tests.conformance.shapes.shape import shapes_of
from tests.conformance.shapes.table import markdown
from tests.support.processes import ROOT


def test_the_table_is_what_is_declared() -> None:
    text = (ROOT / "docs" / "shapes.md").read_text()
    written = text.partition("shapes.table -->\n")[2].partition("<!-- end -->")[0]
    assert written.strip() == markdown().strip(), "print it anew: python -m tests.conformance.shapes.table"


def test_shapes_have_names_of_their_own() -> None:
    for framework in FRAMEWORKS:
        names = [shape.name for shape in shapes_of(framework)]
        assert len(set(names)) == len(names)
