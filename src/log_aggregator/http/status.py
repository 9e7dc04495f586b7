"""Routes about the server itself: readiness, metrics, configuration, build, flush."""

import platform
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from sanic.response import HTTPResponse, empty, raw, text

from log_aggregator import __version__
from log_aggregator.http.errors import error_line
from log_aggregator.http.respond import compressed, json_response
from log_aggregator.http.server import Call, Route

Readiness = Callable[[], Awaitable[str | None]]
"""None when ready, else what is not."""


@dataclass(frozen=True, slots=True)
class StatusRoutes:
    """`config_yaml` shows what is in force, secrets masked, in one of Loki's modes; `services` names the loops here."""

    registry: CollectorRegistry
    config_yaml: Callable[[str], str]
    services: Mapping[str, str]
    readiness: Readiness
    flush: Callable[[], Awaitable[None]]

    def routes(self) -> tuple[Route, ...]:
        get, any_ = ("GET",), ("GET", "POST")
        return (
            Route("root", ("/",), get, self._root, tenant=False),
            Route("ready", ("/ready",), get, self._ready, tenant=False),
            Route("metrics", ("/metrics",), get, self._metrics, tenant=False),
            Route("config", ("/config",), get, self._config, tenant=False),
            Route("services", ("/services",), get, self._services, tenant=False),
            Route(
                "loki_api_v1_status_buildinfo",
                ("/loki/api/v1/status/buildinfo", "/status/buildinfo"),
                get,
                self._buildinfo,
                tenant=False,
            ),
            Route("flush", ("/flush",), any_, self._flush, tenant=False),
            Route(
                "loki_api_v1_cache_generation_numbers",
                ("/loki/api/v1/cache/generation_numbers",),
                get,
                self._generation,
            ),
        )

    async def _root(self, call: Call) -> HTTPResponse:
        return text(f"MOV.AI Log Aggregator {__version__}\n")

    async def _ready(self, call: Call) -> HTTPResponse:
        reason = await self.readiness()
        return text("ready\n") if reason is None else error_line(reason, 503)

    async def _metrics(self, call: Call) -> HTTPResponse:
        encode, content_type = choose_encoder(call.request.headers.get("accept", ""))
        return compressed(call.request, encode(self.registry), content_type)

    async def _config(self, call: Call) -> HTTPResponse:
        shown = self.config_yaml(call.params.get("mode"))
        return raw(shown.encode(), content_type="text/plain; charset=utf-8")

    async def _services(self, call: Call) -> HTTPResponse:
        return text("".join(f"{name} => {state}\n" for name, state in self.services.items()))

    async def _buildinfo(self, call: Call) -> HTTPResponse:
        return json_response(
            call.request,
            {
                "version": __version__,
                "revision": "",
                "branch": "",
                "buildUser": "",
                "buildDate": "",
                "goVersion": f"python{platform.python_version()}",
            },
        )

    async def _generation(self, call: Call) -> HTTPResponse:
        # Loki's queriers drop cached results when it changes; no result outlives a delete here.
        return json_response(call.request, "")

    async def _flush(self, call: Call) -> HTTPResponse:
        await self.flush()
        return empty(204)
