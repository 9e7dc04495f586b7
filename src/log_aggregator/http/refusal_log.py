"""Log lines about refused pushes. Agents drop what is answered 400, and few people read what an agent itself logs."""

import logging
from typing import Final

from log_aggregator.clock import Clock

logger = logging.getLogger(__name__)

# An agent that tries again at once, or many of them while Redis is away, would fill a disk.
_INTERVAL_SECONDS: Final = 1.0
_MAX_CHARACTERS: Final = 500


class RefusalLog:
    """At most one line a second; each says how many there would have been since the one before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_seconds = clock.monotonic_seconds()
        self._left_out = 0

    def refused(self, route: str, tenant: str, status: int, reason: str) -> None:
        now_seconds = self._clock.monotonic_seconds()
        if now_seconds < self._next_seconds:
            self._left_out += 1
            return
        logger.warning(
            "a push was refused",
            extra={
                "route": route,
                "org_id": tenant,
                "status": status,
                "error": reason[:_MAX_CHARACTERS],
                "left_out": self._left_out,
            },
        )
        self._next_seconds = now_seconds + _INTERVAL_SECONDS
        self._left_out = 0
