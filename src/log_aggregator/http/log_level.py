"""The route that shows and changes what this process logs."""

import json
import logging

from sanic.response import HTTPResponse

from log_aggregator.http.respond import json_response
from log_aggregator.http.server import Call, Route
from log_aggregator.logs import LEVELS

_PATH = ("/log_level",)


class LogLevelRoutes:
    """Of the root logger. The change lasts until the process ends."""

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("log_level", _PATH, ("GET",), self._show, tenant=False),
            Route("log_level", _PATH, ("POST",), self._change, tenant=False),
        )

    async def _show(self, call: Call) -> HTTPResponse:
        current = logging.getLogger().getEffectiveLevel()
        name = next((name for name, level in LEVELS.items() if level >= current), "error")
        return json_response(call.request, {"message": f"Current log level is {name}"})

    async def _change(self, call: Call) -> HTTPResponse:
        name = call.params.get("log_level")
        if name not in LEVELS:
            message = f"unrecognized log level {json.dumps(name)}"
            return json_response(call.request, {"status": "failed", "message": message}, status=400)
        logging.getLogger().setLevel(LEVELS[name])
        return json_response(call.request, {"status": "success", "message": f"Log level set to {name}"})
