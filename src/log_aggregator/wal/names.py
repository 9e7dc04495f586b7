"""Names of the keys in Redis. See docs/format/redis.md."""

import re

from log_aggregator import __version__


class Names:
    """All keys share one hash tag, so that in a Redis Cluster one script may touch several of them."""

    def __init__(self, prefix: str) -> None:
        tag = "{" + prefix + "}"
        self.epochs = f"{tag}:epochs"
        self.trimmed = f"{tag}:trimmed"
        self.flush_requests = f"{tag}:flush-requests"
        self.deletions = f"{tag}:deletions"
        self._tag = tag

    @property
    def list_patterns(self) -> tuple[str, str]:
        """What the names of all index lists and period lists match, and no other names."""
        tag = re.sub(r"[][*?\\]", r"\\\g<0>", self._tag)
        return f"{tag}:index:*", f"{tag}:periods:*"

    def lease(self, wal: str) -> str:
        return f"{self._tag}:lease:{wal}"

    def log(self, wal: str) -> str:
        return f"{self._tag}:wal:{wal}"

    def head(self, wal: str) -> str:
        return f"{self._tag}:head:{wal}"

    def index_list(self, tenant: str, period: str) -> str:
        return f"{self._tag}:index:{tenant}:{period}"

    def period_list(self, tenant: str) -> str:
        return f"{self._tag}:periods:{tenant}"

    def result(self, slot: int) -> str:
        return f"{self._tag}:result:{slot}"

    def work(self, name: str) -> str:
        """Only replicas of the same version work for each other: they agree in all they do."""
        return f"{self._tag}:work:{__version__}:{name}"

    def ingestion_bucket(self, tenant: str) -> str:
        return f"{self._tag}:rate:{tenant}"

    def active_streams(self, tenant: str) -> str:
        return f"{self._tag}:streams:{tenant}"
