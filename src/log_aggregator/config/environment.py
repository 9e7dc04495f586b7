"""Configuration by environment variables: `LOKI_<BLOCK>_<KEY>`."""

import re
from collections.abc import Mapping
from typing import Final

from log_aggregator.config.document import Node, Place, Scalar, parse_value
from log_aggregator.config.keys import RENAMED
from log_aggregator.config.load import Given
from log_aggregator.config.schema import Path, is_list, leaf_fields, section_in
from log_aggregator.config.sections import Config

_PREFIX: Final = "LOKI_"
# Kubernetes sets these in every pod beside a Service named loki.
_OF_A_SERVICE: Final = re.compile(r"LOKI_(.*_)?(SERVICE_(HOST|PORT)|PORT)(_.*)?")
# The program's own client reads these.
_OF_A_CLIENT: Final = frozenset(
    {"LOKI_ADDR", "LOKI_ORG_ID", "LOKI_USERNAME", "LOKI_PASSWORD", "LOKI_BEARER_TOKEN", "LOKI_CA_CERT_PATH"}
)
_SPECIAL: Final[Mapping[str, Path]] = {
    "REDIS_URL": ("redis", "url"),
    "LOKI_LOG_LEVEL": ("server", "log_level"),
}


def variables() -> dict[str, Path]:
    """Every variable that is read, and the key that it sets."""
    renamed = [tuple(old.split(".")) for old in RENAMED]
    paths = [*leaf_fields(Config), *renamed]
    return {**{_PREFIX + "_".join(path).upper(): path for path in paths}, **_SPECIAL}


def from_environment(environment: Mapping[str, str]) -> tuple[list[Given], list[str]]:
    """The values, and the names of variables that look meant for us but set nothing. Raises ConfigError."""
    known = variables()
    given = [
        Given(known[name], node_of(known[name], text, Place(name)), Place(name))
        for name, text in sorted(environment.items())
        if name in known
    ]
    strange = [
        name
        for name in sorted(environment)
        if name.startswith(_PREFIX) and name not in (known.keys() | _OF_A_CLIENT) and not _OF_A_SERVICE.fullmatch(name)
    ]
    return given, strange


def node_of(path: Path, text: str, place: Place) -> Node:
    """Lists are comma-separated; lists of blocks, and other values with structure, are YAML. Raises ConfigError."""
    field = leaf_fields(Config).get(path)
    if field is None or (not is_list(field) and section_in(field.annotation) is None):
        return Scalar(text, place)
    if section_in(field.annotation) is not None or text.startswith("["):
        return parse_value(text, place.source)
    return parse_value("[" + text + "]", place.source)
