"""A configuration from the text of a file, as a server would load it."""

from pathlib import Path
from textwrap import dedent

from pydantic import BaseModel

from log_aggregator.config.files import Configuration, configure
from log_aggregator.config.flags import parse_flags

MINUTE = 60 * 1_000_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def configured(
    directory: Path, text: str, *flags: str, environment: dict[str, str] | None = None, name: str = "loki.yml"
) -> Configuration:
    file = directory / name
    file.write_text(dedent(text))
    return configure(parse_flags([f"-config.file={file}", *flags]), environment or {})


def value_at(config: BaseModel, dotted: str) -> object:
    value: object = config
    for name in dotted.split("."):
        value = getattr(value, name)
    return value
