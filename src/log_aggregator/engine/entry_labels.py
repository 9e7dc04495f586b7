"""The labels of one entry on its way through a pipeline: what its stages read, set and delete.

Labels come from three places: the stream, the entry's structured metadata, and the stages. The rules of who wins are
Loki's: a stage's label hides one of the same name from elsewhere, metadata that has the name of a stream label and
whatever a parser extracts under a name that is taken gets `_extracted` appended, and of several parsers the first wins.
"""

import string
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from log_aggregator.logql.template.strconv import SPACE
from log_aggregator.model.labels import Labels

ERROR: Final = "__error__"
ERROR_DETAILS: Final = "__error_details__"
PRESERVE_ERROR: Final = "__preserve_error__"
OF_ERRORS: Final = frozenset((ERROR, ERROR_DETAILS, PRESERVE_ERROR))
EXTRACTED: Final = "_extracted"
REPLACEMENT: Final = "\ufffd"
"""What stands for bytes that are no UTF-8."""

LONGEST_NAME: Final = 1024
"""Of a label, as Loki limits those of streams. Deeper fields are not looked for, longer keys not remembered: a hostile
line could make names that take many times its own size."""

_NAME_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + "_")

Check = Callable[["EntryLabels"], bool]


def shows_error(labels: Labels) -> bool:
    """Whether they tell that something failed."""
    return any(name == ERROR for name, _ in labels)


def is_made(name: str) -> bool:
    """Whether a label of this name may come from elsewhere than from a field of the name."""
    return name.endswith(EXTRACTED) or name in OF_ERRORS


def sanitise(key: str) -> str:
    """A label name out of any key; empty if there is nothing but white space."""
    return join_names("", key)


def join_names(prefix: str, key: str) -> str:
    """The name of a field of an object that has a name."""
    return joined(prefix, key) if len(prefix) + len(key) <= LONGEST_NAME else joined.__wrapped__(prefix, key)


@lru_cache(maxsize=8192)
def joined(prefix: str, key: str) -> str:
    name = "".join(char if char in _NAME_CHARACTERS else "_" for char in key.strip(SPACE))
    if prefix:
        return f"{prefix}_{name}" if name else prefix
    return "_" + name if name[:1].isdigit() else name


@dataclass(frozen=True, slots=True)
class Demand:
    """What a query makes of the labels that parsers extract, so that they can stop early.

    It is more than a shortcut: what is not parsed cannot fail. `sum(count_over_time({...} | json [5m]))` counts lines
    that are no JSON.
    """

    names: frozenset[str] | None = None
    """All that is needed; None where that is not known."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    """Label filters to come, by the one label that each reads. A parser gives up a line that fails one."""

    @property
    def keeps_errors(self) -> bool:
        """Whether the query asks for errors, which then do not fail it."""
        return self.names is not None and ERROR in self.names

    def wants(self, name: str) -> bool:
        return not self.names or name in self.names

    def wants_prefix(self, prefix: str) -> bool:
        return not self.names or any(name.startswith(prefix) for name in self.names)


class EntryLabels:
    """Labels of one entry. `stream` is not changed, `metadata` is."""

    __slots__ = (
        "_deleted",
        "_extracted",
        "cut",
        "demand",
        "details",
        "error",
        "metadata",
        "parsed",
        "stream",
        "timestamp_ns",
    )

    def __init__(
        self, timestamp_ns: int, stream: Mapping[str, str], metadata: Mapping[str, str], demand: Demand
    ) -> None:
        self.timestamp_ns = timestamp_ns
        self.stream = stream
        self.metadata: dict[str, str] = {}
        self.parsed: dict[str, str] = {}
        self.error = ""
        self.details = ""
        self.demand = demand
        self.cut: tuple[str, ...] = ()
        """Labels in which a template left bytes that are no characters."""
        self._deleted: set[str] = set()
        self._extracted: set[str] = set()
        for name, value in metadata.items():
            if name in stream:
                name += EXTRACTED
            if name == ERROR:
                self.error = value
            elif name == ERROR_DETAILS:
                self.details = value
            else:
                self.metadata[name] = value

    @property
    def changed(self) -> bool:
        """Whether they are more or less than the labels of the stream. Details without an error do not count."""
        return bool(self.parsed or self.metadata or self._deleted or self.error)

    @property
    def satisfied(self) -> bool:
        """Whether parsers need not look for more."""
        names = self.demand.names
        return names is not None and names <= self._extracted

    def get(self, name: str) -> str | None:
        value = self.metadata.get(name)
        if value is None:
            value = self.parsed.get(name)
        if value is None and name not in self._deleted:
            value = self.stream.get(name)
        return value

    def set(self, name: str, value: str) -> None:
        self.metadata.pop(name, None)
        self.parsed[name] = value
        self._extracted.add(name)

    def delete(self, name: str) -> None:
        self.metadata.pop(name, None)
        self.parsed.pop(name, None)
        self._deleted.add(name)

    def free_name(self, name: str) -> str:
        """The name under which a parser extracts, apart from labels of the stream and metadata."""
        return name + EXTRACTED if name in self.stream or name in self.metadata else name

    def is_open(self, name: str) -> bool:
        """Whether a parser should extract the label: it is needed, and none has before."""
        return name not in self._extracted and self.demand.wants(name)

    def holds(self, name: str) -> bool:
        """Whether a label just extracted leaves the line a chance to pass."""
        check = self.demand.checks.get(name)
        return check is None or check(self)

    def extract(self, name: str, value: str) -> bool:
        """What parsers do with a field. False: the line cannot pass."""
        if name in self.stream or name in self.metadata:  # free_name, is_open and holds, in one call: this is hot
            name += EXTRACTED
        demand = self.demand
        if name in self._extracted or (demand.names and name not in demand.names):
            return True
        self.set(name, value)
        return not demand.checks or self.holds(name)

    def extract_all(self, fields: Iterable[tuple[str, str]]) -> bool:
        """`extract` of field after field, until there is no need for more. False: the line cannot pass."""
        # Of a line with a dozen fields, calls would take most of the time.
        stream, metadata, parsed, extracted = self.stream, self.metadata, self.parsed, self._extracted
        names, checks = self.demand.names, self.demand.checks
        for name, value in fields:
            if name in stream or name in metadata:
                name += EXTRACTED
            if name in extracted or (names and name not in names):
                continue
            metadata.pop(name, None)
            parsed[name] = value
            extracted.add(name)
            if names is not None and names <= extracted:
                break
            if name in checks and not checks[name](self):
                return False
        return True

    def fail(self, error: str, details: str = "") -> None:
        """Empty details leave those of an earlier error."""
        self.error = error
        if details:
            self.details = details

    def fail_parsing(self, error: str, details: str = "") -> None:
        self.fail(error, details)
        if self.demand.keeps_errors:
            self.set(PRESERVE_ERROR, "true")

    def errors(self) -> dict[str, str]:
        """The error as labels; none where there is none."""
        errors = {ERROR: self.error} if self.error else {}
        if self.details:
            errors[ERROR_DETAILS] = self.details
        return errors

    def made(self) -> dict[str, str]:
        """What stages made, the error included, as an answer has it.

        That has U+FFFD for bytes that a template has left, but a blank where the character was there before.
        """
        errors = self.errors()
        made = self.parsed | errors if errors else self.parsed
        if REPLACEMENT not in "".join(made.values()):  # nearly always, and this is hot
            return made
        made = dict(made)
        for name, value in made.items():
            if REPLACEMENT in value and name not in self.cut:
                made[name] = value.replace(REPLACEMENT, " ")
        return made

    def left_of_stream(self) -> Mapping[str, str]:
        own, hidden = self.stream.keys(), (self._deleted, self.metadata, self.parsed)
        if own.isdisjoint(self.parsed) and own.isdisjoint(self.metadata) and not self._deleted:  # nearly always
            return self.stream
        return {name: value for name, value in self.stream.items() if not any(name in names for names in hidden)}

    def all(self) -> dict[str, str]:
        """Every label, the error included, from whatever place."""
        return {**self.left_of_stream(), **self.metadata, **self.parsed, **self.errors()}

    def grouped_by(self, names: Collection[str]) -> dict[str, str]:
        """A label that has been deleted stays so here, even if it was set again: Loki's way."""
        chosen = {}
        for name in names:
            value = None if name in self._deleted else self.get(name)
            if value is not None:
                chosen[name] = value
        return chosen
