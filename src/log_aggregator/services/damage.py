"""What an answer lacks because stored objects are damaged or missing, where such answers are allowed.

Whoever gives an answer that can say what it lacks reads within `damage_left_out`; to everybody else, as to compaction,
deletion and the workers of other replicas' queries, damage is an error. It travels in a context variable: between the
request and the objects lie a dozen layers for which damage is none of their business.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

logger = logging.getLogger(__name__)

_MAX_NAMED = 10


class Damage:
    """What was left out. A row group that was left out once is left out for the rest of the request.

    Otherwise a query could take an entry from another copy, since this one cannot be read, and later this one too,
    since fewer of its columns are needed.
    """

    def __init__(self) -> None:
        self._found: dict[str, None] = {}
        self._row_groups: set[tuple[str, int]] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, message: str) -> None:
        """Something is left out, which the message names."""
        if message not in self._found:
            logger.warning("an answer lacks what is damaged", extra={"error": message})
            self._found[message] = None

    def add_row_group(self, chunk: str, row_group: int, message: str) -> None:
        self._row_groups.add((chunk, row_group))
        self.add(message)

    @property
    def row_groups(self) -> int:
        return len(self._row_groups)

    def has_row_group(self, chunk: str, row_group: int) -> bool:
        return (chunk, row_group) in self._row_groups

    def warnings(self) -> list[str]:
        """For whoever gets the answer."""
        named = [f"the answer is not complete: {message}" for message in list(self._found)[:_MAX_NAMED]]
        more = len(self._found) - len(named)
        return [*named, f"the answer is not complete: {more} more objects are damaged"] if more else named


_current: ContextVar[Damage | None] = ContextVar("damage", default=None)


@contextmanager
def damage_left_out(*, allowed: bool) -> Iterator[None]:
    """Within, what is damaged is left out and noted if that is `allowed`, and an error if not."""
    token = _current.set(Damage() if allowed else None)
    try:
        yield
    finally:
        _current.reset(token)


def current_damage() -> Damage | None:
    """Where to note what is left out; None where damage is an error."""
    return _current.get()
