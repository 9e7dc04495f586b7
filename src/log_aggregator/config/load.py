"""From the operator's words to a `Config`: file, then environment, then command line, each over the one before.

Every key is one of: ours, renamed, refused, ignored (and named once), or unknown, which is an error that says where.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from log_aggregator.config.document import Block, Entry, Items, Node, Place, Scalar, leaves, plain
from log_aggregator.config.errors import ConfigError
from log_aggregator.config.keys import IGNORED, REFUSED, RENAMED
from log_aggregator.config.schema import Path, fields_of, is_secret, leaf_fields, section_in
from log_aggregator.config.sections import Config
from log_aggregator.config.stores import s3_in_use
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.parser import parse_selector
from log_aggregator.model.limits import Limits
from log_aggregator.model.section import Section

# In place of pydantic's messages, which speak of Python.
_SHAPES: Final[Mapping[str, str]] = {
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "string_type": "must be plain text",
}
_NO_VALUE: Final = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Given:
    """One value from the environment or the command line."""

    path: Path
    node: Node
    place: Place


@dataclass(slots=True)
class Findings:
    """What was noticed on the way, in the order of the file."""

    ignored: list[str] = field(default_factory=list)  # dotted paths
    unknown: list[str] = field(default_factory=list)  # messages
    refused: list[str] = field(default_factory=list)  # messages


@dataclass(frozen=True, slots=True)
class Loaded:
    config: Config
    ignored: Sequence[str]
    """Keys that Loki knows and that change nothing here."""
    warnings: Sequence[str]
    """Unknown keys, where these are not refused."""
    schema_key: str
    """What a message about its `index.period` begins with, the place included."""


def load(document: Block, given: Sequence[Given], *, strict: bool) -> Loaded:
    """The document is used up. Raises ConfigError, which names all problems at once."""
    for one in given:
        document.put(one.path, Entry(one.node, one.place), replace=True)
    rename(document)
    found = Findings()
    sift(document, Config, (), found)
    problems = [*found.refused, *(found.unknown if strict else ())]
    if problems:
        raise ConfigError("\n".join(problems))
    config = validated(Config, document)
    check_selectors(config.limits_config, document, above=("limits_config",))
    _check_s3(config, document)
    return Loaded(config, tuple(found.ignored), tuple(found.unknown), _schema_key(config, document))


def rename(document: Block) -> None:
    """Moves what has another name here; a value under the name that we use wins."""
    for old, new in RENAMED.items():
        entry = document.take(tuple(old.split(".")))
        if entry is not None:
            document.put(tuple(new.split(".")), entry, replace=False)


def sift(node: Node, section: type[Section], above: Path, found: Findings) -> None:
    """Removes and notes every key that the section does not have."""
    match node:
        case Items(nodes=nodes):
            for item in nodes:
                sift(item, section, above, found)
        case Block(entries=entries):
            known = fields_of(section)
            for name, entry in list(entries.items()):
                path = (*above, name)
                if name not in known:
                    del entries[name]
                    _note(path, entry, section, found)
                elif (inner := section_in(known[name].annotation)) is not None:
                    sift(entry.node, inner, path, found)


def validated(
    section: type[Section], document: Block, *, over: Mapping[str, Any] | None = None, above: str = ""
) -> Any:
    """The section with the document's values, over other values if given. Raises ConfigError."""
    values = plain(document)
    assert isinstance(values, dict)
    try:
        return section.model_validate({**(over or {}), **values})
    except ValidationError as error:
        problems = [_problem(section, document, details, above) for details in error.errors()]
        raise ConfigError("\n".join(problems)) from None  # the cause would show secrets


def check_selectors(limits: Limits, document: Block, *, above: Path = (), name: str = "") -> None:
    """That retention can read its selectors; the limits stand in the document at `above`. Raises ConfigError."""
    problems = []
    for index, rule in enumerate(limits.retention_stream):
        try:
            parse_selector(rule.selector)
        except ParseError as error:
            location = (*above, "retention_stream", index, "selector")
            problems.append(_problem(Limits, document, {"loc": location, "type": "", "msg": str(error)}, name))
    if problems:
        raise ConfigError("\n".join(problems))


def _check_s3(config: Config, document: Block) -> None:
    """That the block of S3 can be a store, where it is the chosen one. Raises ConfigError."""
    if (found := s3_in_use(config)) is not None and found[1].problem:
        location = tuple(found[0].split("."))
        raise ConfigError(_problem(Config, document, {"loc": location, "type": "", "msg": found[1].problem}, ""))


def _schema_key(config: Config, document: Block) -> str:
    newest = max(len(config.schema_config.configs) - 1, 0)
    _, place = _find(document, ("schema_config", "configs", newest, "index", "period"))
    return f"{place}: schema_config.configs[{newest}]"


def _note(path: Path, entry: Entry, section: type[Section], found: Findings) -> None:
    dotted = ".".join(path)
    if dotted in IGNORED:
        if not isinstance(entry.node, Block) or entry.node.entries:  # all that it held may have been renamed
            found.ignored.append(dotted)
    elif dotted not in REFUSED:
        hint = _hint(path, section)
        found.unknown.append(f"{entry.place}: unknown key {dotted}{f'; did you mean {hint}?' if hint else ''}")
    elif any(leaf.text is not None and leaf.text.lower() not in _NO_VALUE for leaf in leaves(entry.node)):
        found.refused.append(f"{entry.place}: {dotted} is not supported: {REFUSED[dotted]}")


def _hint(path: Path, section: type[Section]) -> str:
    """A known key with a similar name beside it, else one of the same name elsewhere."""
    *above, name = path
    prefix = ".".join(above)
    beside = [*fields_of(section), *_names_below(prefix)]
    if similar := difflib.get_close_matches(name, beside, n=1):
        return ".".join((*above, similar[0]))
    everywhere = {leaf[-1]: ".".join(leaf) for leaf in leaf_fields(Config)}
    same = difflib.get_close_matches(name, everywhere, n=1, cutoff=0.9)
    return everywhere[same[0]] if same else ""


def _names_below(prefix: str) -> Iterator[str]:
    for dotted in (*RENAMED, *IGNORED):
        parent, _, name = dotted.rpartition(".")
        if parent == prefix:
            yield name


def _problem(section: type[Section], document: Block, details: Any, above: str) -> str:
    location: tuple[str | int, ...] = details["loc"]
    node, place = _find(document, location)
    dotted = above + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    value = ""
    if isinstance(node, Scalar) and node.text is not None and not is_secret(section, location):
        value = f" (got {node.text!r})"
    message = _SHAPES.get(details["type"]) or details["msg"].removeprefix("Value error, ")
    return f"{place}: {dotted.lstrip('.')}: {message[:1].lower()}{message[1:]}{value}"


def _find(document: Block, location: Sequence[str | int]) -> tuple[Node, Place]:
    """The deepest node on the way to the location: a missing key is reported where its block stands."""
    node: Node = document
    place = document.place
    for step in location:
        match node:
            case Block(entries=entries) if isinstance(step, str) and step in entries:
                place, node = entries[step].place, entries[step].node
                place = node.place if isinstance(node, Scalar) else place
            case Items(nodes=nodes) if isinstance(step, int) and step < len(nodes):
                node = nodes[step]
                place = node.place
            case _:
                return Scalar(None, place), place
    return node, place
