"""How much there is to do for a body, of which its bytes say little: some of them are an entry, or many metadata."""

from log_aggregator.formats.push_errors import PushTooLarge


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

    def guess(self, count: int) -> None:
        """Raises PushTooLarge if there are more than so many, which are counted later."""
        if 0 < self._most < count:
            raise PushTooLarge(f"more than {self._most} streams, entries, labels and metadata")
