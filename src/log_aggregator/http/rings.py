"""Pages where Loki shows its hash rings. There is none here; they name the replicas that take logs instead."""

from dataclasses import dataclass

from sanic.response import HTTPResponse, text

from log_aggregator.http.server import Call, Route
from log_aggregator.wal.log import WriteAheadLogs

_PATHS = (
    "/ring",
    "/distributor/ring",
    "/indexgateway/ring",
    "/ruler/ring",
    "/compactor/ring",
    "/scheduler/ring",
    "/pattern/ring",
    "/partition-ring",
    "/memberlist",
)


@dataclass(frozen=True, slots=True)
class RingRoutes:
    logs: WriteAheadLogs

    def routes(self) -> tuple[Route, ...]:
        return (Route("ring", _PATHS, ("GET",), self._ring, tenant=False),)

    async def _ring(self, call: Call) -> HTTPResponse:
        holders = sorted((holder or "nobody", wal) for wal, holder in (await self.logs.holders()).items())
        replicas = "".join(f"{holder} holds write-ahead log {wal}\n" for holder, wal in holders)
        return text(f"stateless: no ring\n\n{replicas}")
