"""Routes by which an orchestrator announces or asks for the end of this process."""

from collections.abc import Awaitable, Callable

from sanic.response import HTTPResponse, empty, text

from log_aggregator.http.server import Call, Route

_FALSE = ("0", "f", "false")


class ShutdownRoutes:
    """`terminate` asks the process to end in its usual way, which flushes, and returns at once."""

    def __init__(self, flush: Callable[[], Awaitable[None]], terminate: Callable[[], None]) -> None:
        self._flush = flush
        self._terminate = terminate
        self._prepared = False

    def routes(self) -> tuple[Route, ...]:
        prepare = ("/ingester/prepare_shutdown",)
        return (
            Route("ingester_prepare_shutdown", prepare, ("GET",), self._show, tenant=False),
            Route("ingester_prepare_shutdown", prepare, ("POST",), self._prepare, tenant=False),
            Route("ingester_prepare_shutdown", prepare, ("DELETE",), self._unprepare, tenant=False),
            Route("ingester_shutdown", ("/ingester/shutdown",), ("GET", "POST"), self._shut_down, tenant=False),
        )

    async def _show(self, call: Call) -> HTTPResponse:
        return text("set\n" if self._prepared else "unset\n")

    async def _prepare(self, call: Call) -> HTTPResponse:
        # Every stop flushes; the mark is only for those who ask for it.
        self._prepared = True
        return empty(204)

    async def _unprepare(self, call: Call) -> HTTPResponse:
        self._prepared = False
        return empty(204)

    async def _shut_down(self, call: Call) -> HTTPResponse:
        if _flag(call, "flush"):
            await self._flush()
        if _flag(call, "terminate"):
            self._terminate()
        return empty(204)


def _flag(call: Call, name: str) -> bool:
    """True unless the parameter says no."""
    return call.params.get(name).lower() not in _FALSE
