"""Labels, label values and series of a time range."""

from collections.abc import Callable, Sequence

from log_aggregator.model.labels import Labels
from log_aggregator.services.scan import Scan, Scanner

Accepts = Callable[[Labels], bool]


class SeriesQueries:
    """Ranges are `[start_ns, end_ns)`. Raises the store's errors, WalUnavailable, CorruptData."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner

    async def series(self, tenant: str, start_ns: int, end_ns: int, any_of: Sequence[Accepts]) -> list[Labels]:
        """Streams that at least one of the selectors accepts; all of them where there is no selector."""

        def accepts(labels: Labels) -> bool:
            return not any_of or any(accept(labels) for accept in any_of)

        return sorted(await self._scanner.streams(Scan(tenant, start_ns, end_ns, accepts)))

    async def label_names(self, tenant: str, start_ns: int, end_ns: int, accepts: Accepts) -> list[str]:
        streams = await self._scanner.streams(Scan(tenant, start_ns, end_ns, accepts))
        return sorted({name for labels in streams for name, _ in labels})

    async def label_values(self, tenant: str, name: str, start_ns: int, end_ns: int, accepts: Accepts) -> list[str]:
        streams = await self._scanner.streams(Scan(tenant, start_ns, end_ns, accepts))
        return sorted({value for labels in streams for own, value in labels if own == name})
