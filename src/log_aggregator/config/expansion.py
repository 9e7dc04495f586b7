"""`${NAME}` and `${NAME:-default}` in a configuration file."""

import re
from collections.abc import Mapping
from typing import Final

_REFERENCE: Final = re.compile(r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?)[-=]([^}]*))?\}")


def expand(text: str, environment: Mapping[str, str]) -> str:
    """A variable that is not set, or empty after `:-`, gives the default, else nothing.

    `$NAME` stays as it is. `$${` is `${`, as in Loki, which makes one of any two dollars: but only when told to expand.
    """

    def value(reference: re.Match[str]) -> str:
        kept, name, also_empty, default = reference.groups()
        if kept is not None:
            return kept
        found = environment.get(name)
        if found is None or (also_empty and not found):
            return default or ""
        return found

    return _REFERENCE.sub(value, text)
