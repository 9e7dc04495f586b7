"""How much there is to do for a body, of which its bytes say little: some of them are an entry, or many metadata."""

from collections.abc import Iterable, Mapping
from typing import Final

from log_aggregator.formats.push_errors import PushTooLarge

_CHARACTERS_OF_PART: Final = 1 << 10
_CHARACTERS_OF_NAME_PART: Final = 1 << 6


class Parts:
    """Streams, entries, and pairs of labels and metadata, which are counted before anything is made of them.

    At most `most` of them; 0 for any number. `add` raises PushTooLarge. `bytes` is the size of the decompressed body.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.bytes = 0
        self.count = 0

    def add(self, count: int) -> None:
        self.count += count
        self.guess(self.count)

    def add_text(self, length: int) -> None:
        """Text that is gone through again, as what several entries share is for each of them."""
        self.add(length // _CHARACTERS_OF_PART)

    def add_names(self, names: Iterable[str], times: int) -> None:
        """Names that are looked at character by character so many times."""
        self.add(times * sum(len(name) // _CHARACTERS_OF_NAME_PART for name in names))

    def guess(self, count: int) -> None:
        """Raises PushTooLarge if there are more than so many, which are counted later."""
        if 0 < self._most < count:
            raise PushTooLarge(f"more than {self._most} streams, entries, labels and metadata")


def text_length(pairs: Mapping[str, str]) -> int:
    """Of names and values, in characters."""
    return sum(len(name) + len(value) for name, value in pairs.items())
