"""API keys in the environment."""

from collections.abc import Mapping

from k8gentai.agents.text.header_value import header_value
from k8gentai.stack.environments.installed import SetUpError


def api_key(environment: Mapping[str, str], name: str) -> str | None:
    """Return the key that a variable holds, as it is sent; None where the variable is not set, or is empty.

    Args:
        environment: the variables.
        name: of the variable.

    Raises:
        SetUpError: no HTTP header can carry what it holds. The message does not repeat that.
    """
    try:
        return header_value(environment.get(name, "")) or None
    except ValueError as error:
        raise SetUpError(f"{name} is no key: {error}.") from None
