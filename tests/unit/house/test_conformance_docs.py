"""What the documentation says of the frameworks is what they declare."""

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.stack.conformance.capabilities import Capability
from k8gentai.stack.conformance.checks import CHECKS
from k8gentai.stack.conformance.kit import read_kit
from k8gentai.stack.conformance.report import declared, markdown
from k8gentai.stack.conformance.session import OWN_AGENTS
from tests.support.processes import ROOT


def test_the_table_is_what_is_declared() -> None:
    kits = [read_kit(OWN_AGENTS / framework.replace("-", "_")) for framework in FRAMEWORKS]
    table = markdown(outcome for kit in kits for outcome in declared(kit, CHECKS))
    text = (ROOT / "docs" / "conformance.md").read_text()
    written = text.partition("--declared --markdown -->\n")[2].partition("<!-- end -->")[0]
    assert written.strip() == table.strip(), "print it anew: k8gentai conformance --declared --markdown"


def test_every_capability_has_a_check_and_every_check_a_name_of_its_own() -> None:
    assert {check.capability for check in CHECKS} == set(Capability)
    assert len({(check.capability, check.name) for check in CHECKS}) == len(CHECKS)
