"""What each route needs of a caller, in one table, and the check of it.

A route that the table does not name needs `read` if it belongs to a tenant, else `admin`: what is new is closed.
"""

from collections.abc import Mapping
from typing import Final

from log_aggregator.http.auth import Caller, Credentials, Unauthenticated
from log_aggregator.model.access import OpenRoute, Scope

_SCOPES: Final[Mapping[str, Scope]] = {
    "loki_api_v1_push": Scope.WRITE,
    "api_prom_push": Scope.WRITE,
    "otlp_v1_logs": Scope.WRITE,
    "loki_api_v1_delete": Scope.ADMIN,
    "loki_api_v1_format_query": Scope.READ,
    "openapi": Scope.READ,
    "loki_api_v1_status_buildinfo": Scope.READ,
    "root": Scope.READ,
    "metrics": Scope.METRICS,
    "ready": Scope.METRICS,
}

_OPEN: Final[Mapping[str, OpenRoute]] = {
    "ready": "ready",
    "metrics": "metrics",
    "root": "root",
    "loki_api_v1_status_buildinfo": "buildinfo",
}


class Access:
    """Decides for each request. `open_routes` need no credentials."""

    def __init__(self, credentials: Credentials, open_routes: tuple[OpenRoute, ...]) -> None:
        self._credentials = credentials
        self._open = frozenset(open_routes)

    async def admit(self, route: str, *, tenant: bool, authorization: str) -> Caller | None:
        """None where the route is open; `tenant` says whether it belongs to one. Raises Unauthenticated, NotAllowed."""
        if _OPEN.get(route) in self._open:
            return None
        caller = await self._credentials.caller(authorization)
        caller.check_scope(scope_of(route, tenant=tenant))
        return caller

    async def knows(self, authorization: str) -> bool:
        """Whether the credentials are somebody's."""
        try:
            await self._credentials.caller(authorization)
        except Unauthenticated:
            return False
        return True


def scope_of(route: str, *, tenant: bool) -> Scope:
    return _SCOPES.get(route) or (Scope.READ if tenant else Scope.ADMIN)
