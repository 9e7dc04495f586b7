"""A YAML file as text values that know where they stand.

Scalars stay text: what a value means is for the type of its key to say, and the environment and the command line
give text too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from log_aggregator.config.errors import ConfigError

_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Place:
    """In a file with line and column, or an environment variable or flag without."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Scalar:
    """`text` is None for YAML's null: a key that says nothing."""

    text: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Items:
    nodes: tuple["Node", ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    node: "Node"
    place: Place  # of the key


@dataclass(slots=True)
class Block:
    """Its entries may be changed: other sources of configuration are laid over a file."""

    entries: dict[str, Entry]
    place: Place

    def take(self, path: tuple[str, ...]) -> Entry | None:
        """Removes and returns what is there."""
        *parents, name = path
        block = self
        for parent in parents:
            entry = block.entries.get(parent)
            if entry is None or not isinstance(entry.node, Block):
                return None
            block = entry.node
        return block.entries.pop(name, None)

    def put(self, path: tuple[str, ...], entry: Entry, *, replace: bool) -> None:
        """Blocks on the way are made. Without `replace`, what is there stays."""
        *parents, name = path
        block = self
        for parent in parents:
            inner = block.entries.get(parent)
            if inner is None or not isinstance(inner.node, Block):
                inner = Entry(Block({}, entry.place), entry.place)
                block.entries[parent] = inner
            assert isinstance(inner.node, Block)
            block = inner.node
        if replace or name not in block.entries:
            block.entries[name] = entry


Node = Scalar | Items | Block


def parse_document(text: str, source: str) -> Block:
    """Raises ConfigError."""
    node = parse_value(text, source)
    match node:
        case Block():
            return node
        case Scalar(text=None):
            return Block({}, node.place)
        case _:
            raise ConfigError(f"{node.place}: not a YAML mapping")


def parse_value(text: str, source: str) -> Node:
    """Any YAML. Raises ConfigError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return Scalar(None, Place(source, 1, 1)) if root is None else _node(root, source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)
        raise ConfigError(f"{place}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: {error}") from error


def plain(node: Node) -> object:
    """Texts, lists and dictionaries, without what says nothing."""
    match node:
        case Scalar(text=text):
            return text
        case Items(nodes=nodes):
            return [plain(item) for item in nodes]
        case Block(entries=entries):
            return {key: plain(entry.node) for key, entry in entries.items() if not _says_nothing(entry.node)}


def leaves(node: Node) -> Iterator[Scalar]:
    match node:
        case Scalar():
            yield node
        case Items(nodes=nodes):
            for item in nodes:
                yield from leaves(item)
        case Block(entries=entries):
            for entry in entries.values():
                yield from leaves(entry.node)


def _says_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and node.text is None


def _node(node: yaml.Node, source: str) -> Node:
    place = _place(node, source)
    match node:
        case yaml.ScalarNode():
            return Scalar(None if node.tag == _NULL else str(node.value), place)
        case yaml.SequenceNode():
            return Items(tuple(_node(item, source) for item in node.value), place)
        case yaml.MappingNode():
            return Block(_entries(node, source), place)
        case _:
            raise ConfigError(f"{place}: not a YAML value")


def _entries(node: yaml.MappingNode, source: str) -> dict[str, Entry]:
    own: dict[str, Entry] = {}
    merged: dict[str, Entry] = {}
    for key, value in node.value:
        place = _place(key, source)
        if key.tag == _MERGE:
            for inner in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(inner, yaml.MappingNode):
                    raise ConfigError(f"{place}: << needs a mapping")
                merged = {**_entries(inner, source), **merged}
            continue
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{place}: a key must be plain text")
        if key.value in own:
            raise ConfigError(f"{place}: {key.value} stands here twice, first at {own[key.value].place}")
        own[key.value] = Entry(_node(value, source), place)
    return {**merged, **own}


def _place(node: yaml.Node, source: str) -> Place:
    return Place(source, node.start_mark.line + 1, node.start_mark.column + 1)
