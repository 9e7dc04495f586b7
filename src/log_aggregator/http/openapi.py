"""The API described by itself: `/openapi.json`, made from the routes that this process serves.

Paths, methods and whether a tenant is needed come from the routes; what they are for, and their parameters, from the
tables below, by the routes' names. A route that the table of operations lacks is described without words, and a test
fails.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sanic.response import HTTPResponse

from log_aggregator import __version__
from log_aggregator.http.respond import json_response
from log_aggregator.http.server import Call, Route, SocketRoute
from log_aggregator.http.tenant import HEADER

_JSON, _TEXT, _FORM = "application/json", "text/plain", "application/x-www-form-urlencoded"
_PATH_PARAMETER = re.compile(r"<(\w+)(?::\w+)?>")
_TIME = "Seconds or nanoseconds since 1970, or RFC 3339"


@dataclass(frozen=True, slots=True)
class Operation:
    """`parameters` name entries of PARAMETERS; `answer` and `body` are media types, "" for none."""

    summary: str
    parameters: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    answer: str = _JSON
    body: str = ""
    status: int = 200


PARAMETERS: Final[Mapping[str, dict[str, Any]]] = {
    "query": {"type": "string", "description": "LogQL", "examples": ['{job="manager"} |= "text"']},
    "time": {"type": "string", "description": f"Of an instant query. {_TIME}; now"},
    "start": {"type": "string", "description": f"{_TIME}; an hour before the end"},
    "end": {"type": "string", "description": f"{_TIME}; now"},
    "since": {"type": "string", "description": "Instead of start: a duration before the end", "examples": ["1h"]},
    "limit": {"type": "integer", "minimum": 1, "description": "Entries, or what the route answers with"},
    "direction": {"type": "string", "enum": ["forward", "backward"], "description": "Oldest or newest entries first"},
    "step": {"type": "string", "description": "Seconds or a duration between samples", "examples": ["60", "1m"]},
    "interval": {"type": "string", "description": "Seconds or a duration that lies between two entries at least"},
    "cursor": {
        "type": "string",
        "description": "X-Next-Cursor of an earlier answer: the entries behind it. Stands for the range and direction",
    },
    "format": {"type": "string", "enum": ["ndjson", "csv", "parquet"], "description": "Also by the Accept header"},
    "delay_for": {"type": "integer", "minimum": 0, "maximum": 5, "description": "Seconds to wait for late entries"},
    "match[]": {"type": "array", "items": {"type": "string"}, "description": "Selectors; none for all streams"},
    "targetLabels": {"type": "string", "description": "Labels to add up by, separated by commas"},
    "aggregateBy": {"type": "string", "enum": ["series", "labels"], "description": "What is added up"},
    "line_limit": {"type": "integer", "minimum": 1, "description": "Newest entries that are looked at"},
    "field_limit": {"type": "integer", "minimum": 1, "description": "Fields"},
    "regexp": {"type": "string", "description": "One more line filter"},
    "mode": {"type": "string", "enum": ["diffs", "defaults"], "description": "What of the configuration is shown"},
    "log_level": {"type": "string", "enum": ["debug", "info", "warn", "error"], "description": "The new level"},
    "request_id": {"type": "string", "description": "Of the request to take back"},
    "force": {"type": "string", "enum": ["true", "false"], "description": "Even if a part has been carried out"},
    "max_interval": {"type": "string", "description": "The longest stretch that is deleted at once"},
}

_RANGE = ("start", "end", "since")
_LABELS = ("query", *_RANGE)
_VOLUME = ("query", *_RANGE, "limit", "targetLabels", "aggregateBy")
_FIELDS = ("query", *_RANGE, "line_limit", "field_limit", "limit", "step")
_QUERY = ("query",)

OPERATIONS: Final[Mapping[str, Operation]] = {
    "root": Operation("The program's name and version", answer=_TEXT),
    "ready": Operation("Whether requests can be served", answer=_TEXT),
    "metrics": Operation("Metrics in Prometheus' text format", answer=_TEXT),
    "config": Operation("The configuration in force, secrets masked", ("mode",), answer=_TEXT),
    "services": Operation("What runs in this process", answer=_TEXT),
    "openapi": Operation("This description"),
    "loki_api_v1_status_buildinfo": Operation("Version and build"),
    "flush": Operation("Write everything buffered to the object store", answer="", status=204),
    "loki_api_v1_cache_generation_numbers": Operation("For Loki's queriers"),
    "ring": Operation("The replicas that hold write-ahead logs", answer=_TEXT),
    "compactor_lifecycle": Operation("The expiry rules that the bucket has of this program"),
    "log_level GET": Operation("The level of this program's log"),
    "log_level POST": Operation("Change the level of this program's log", ("log_level",)),
    "ingester_prepare_shutdown GET": Operation("Whether a shutdown is prepared", answer=_TEXT),
    "ingester_prepare_shutdown POST": Operation("Prepare a shutdown", answer="", status=204),
    "ingester_prepare_shutdown DELETE": Operation("Do not prepare a shutdown after all", answer="", status=204),
    "ingester_shutdown": Operation("Flush, and end the process", answer="", status=204),
    "loki_api_v1_drilldown_limits": Operation("Limits that shape what Grafana offers"),
    "config_tenant_v1_limits": Operation("Limits of the tenant", answer=_TEXT),
    "loki_api_v1_push": Operation("Store entries", body=_JSON, answer="", status=204),
    "api_prom_push": Operation("Store entries, also in the JSON of old clients", body=_JSON, answer="", status=204),
    "otlp_v1_logs": Operation("Store OpenTelemetry logs", body=_JSON, answer="", status=204),
    "loki_api_v1_query": Operation("Metrics at one moment", ("query", "time", "limit", "direction"), _QUERY),
    "loki_api_v1_query_range": Operation(
        "Entries, or metrics over time", ("query", *_RANGE, "step", "interval", "limit", "direction", "cursor"), _QUERY
    ),
    "loki_api_v1_export": Operation(
        "All entries of a log query, streamed",
        ("query", *_RANGE, "limit", "direction", "format"),
        _QUERY,
        answer="application/x-ndjson",
    ),
    "loki_api_v1_tail": Operation("Entries as they arrive, over a websocket", ("query", "delay_for", "limit", "start")),
    "api_prom_tail": Operation("The same for old clients", ("query", "delay_for", "limit", "start")),
    "api_prom_query": Operation(
        "Entries in the shape of Loki 0.x", ("query", "regexp", *_RANGE, "limit", "direction"), _QUERY
    ),
    "loki_api_v1_labels": Operation("Names of labels", _LABELS),
    "loki_api_v1_label_name_values": Operation("Values of a label", _LABELS),
    "loki_api_v1_series": Operation("Streams", ("match[]", *_RANGE)),
    "api_prom_label": Operation("Names of labels", _LABELS),
    "api_prom_label_name_values": Operation("Values of a label", _LABELS),
    "api_prom_series": Operation("Streams", ("match[]", *_RANGE)),
    "loki_api_v1_index_stats": Operation("How much a selector would read", _LABELS, _QUERY),
    "loki_api_v1_index_volume": Operation("Bytes by streams or labels", _VOLUME, _QUERY),
    "loki_api_v1_index_volume_range": Operation("Bytes over time", (*_VOLUME, "step"), _QUERY),
    "loki_api_v1_detected_labels": Operation("Labels with how many values they have", _LABELS),
    "loki_api_v1_detected_fields": Operation("Fields in entries", _FIELDS, _QUERY),
    "loki_api_v1_detected_field_name_values": Operation("Values of a field in entries", _FIELDS, _QUERY),
    "loki_api_v1_patterns": Operation("Patterns of lines over time", (*_LABELS, "step"), _QUERY),
    "loki_api_v1_format_query": Operation("A query laid out", _QUERY, _QUERY),
    "loki_api_v1_delete GET": Operation("Requests for deletion and their state"),
    "loki_api_v1_delete POST": Operation(
        "Request that entries be deleted", ("query", "start", "end", "max_interval"), ("query", "start"), "", "", 204
    ),
    "loki_api_v1_delete PUT": Operation(
        "Request that entries be deleted", ("query", "start", "end", "max_interval"), ("query", "start"), "", "", 204
    ),
    "loki_api_v1_delete DELETE": Operation(
        "Take a request back", ("request_id", "force"), ("request_id",), answer="", status=204
    ),
    "loki_api_v1_rules": Operation("Rule groups, of which there are none", answer="application/yaml"),
    "loki_api_v1_rules_group": Operation("One rule group", answer="application/yaml"),
    "prometheus_api_v1_rules": Operation("State of rules"),
    "prometheus_api_v1_alerts": Operation("State of alerts"),
}

_ERRORS: Final = {
    "400": "The request is wrong",
    "401": "No tenant, or not allowed in",
    "404": "There is no such thing",
    "429": "A limit is reached: try again later",
    "500": "A mistake of the program",
    "503": "Something it needs is down: try again later",
    "504": "The query took longer than it may",
}


@dataclass(frozen=True, slots=True)
class OpenApiRoutes:
    """Of the routes and sockets that are served beside it."""

    others: Sequence[Route]
    sockets: Sequence[SocketRoute]
    path_prefix: str

    def routes(self) -> tuple[Route, ...]:
        return (Route("openapi", ("/openapi.json",), ("GET",), self._document, tenant=False),)

    async def _document(self, call: Call) -> HTTPResponse:
        return json_response(call.request, document((*self.others, *self.routes()), self.sockets, self.path_prefix))


def document(routes: Sequence[Route], sockets: Sequence[SocketRoute], path_prefix: str = "") -> dict[str, Any]:
    """An OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for number, path in enumerate(route.paths):
            methods = {
                method.lower(): _operation(route.name, method, path, number, tenant=route.tenant)
                for method in route.methods
            }
            paths.setdefault(_templated(path), {}).update(methods)
    for socket in sockets:
        for number, path in enumerate(socket.paths):
            paths[_templated(path)] = {"get": _operation(socket.name, "GET", path, number, tenant=True)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Log Aggregator",
            "version": __version__,
            "description": "Loki's HTTP API, and a few routes more.",
        },
        "servers": [{"url": path_prefix or "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "parameters": {
                "tenant": {
                    "name": HEADER,
                    "in": "header",
                    "required": False,
                    "schema": {"type": "string"},
                    "description": "The tenant, where authentication is enabled",
                }
            },
            "responses": {
                status: {"description": words, "content": {_TEXT: {"schema": {"type": "string"}}}}
                for status, words in _ERRORS.items()
            },
        },
    }


def _operation(name: str, method: str, path: str, number: int, *, tenant: bool) -> dict[str, Any]:
    described = OPERATIONS.get(f"{name} {method}") or OPERATIONS.get(name) or Operation("")
    in_form = method == "POST" and described.parameters
    parameters = [
        {"name": part, "in": "path", "required": True, "schema": {"type": "string"}}
        for part in _PATH_PARAMETER.findall(path)
    ]
    if not in_form:
        parameters += [_parameter(one, required=one in described.required) for one in described.parameters]
    if tenant:
        parameters.append({"$ref": "#/components/parameters/tenant"})
    operation: dict[str, Any] = {
        "operationId": "_".join((name, method.lower(), *([str(number)] if number else []))),
        "summary": described.summary,
        "parameters": parameters,
        "responses": {
            str(described.status): _answer(described.answer),
            **{status: {"$ref": f"#/components/responses/{status}"} for status in _ERRORS},
        },
    }
    if in_form:
        operation["requestBody"] = {"content": {_FORM: {"schema": _form(described)}}}
    elif described.body:
        operation["requestBody"] = {"content": {described.body: {"schema": {}}}}
    return operation


def _parameter(name: str, *, required: bool) -> dict[str, Any]:
    schema = dict(PARAMETERS[name])
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": schema.pop("description"),
        "schema": schema,
    }


def _form(described: Operation) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: PARAMETERS[name] for name in described.parameters},
        "required": list(described.required),
    }


def _answer(media_type: str) -> dict[str, Any]:
    if not media_type:
        return {"description": "Done"}
    return {"description": "The answer", "content": {media_type: {"schema": {}}}}


def _templated(path: str) -> str:
    """Sanic's `<name>` as OpenAPI's `{name}`."""
    return _PATH_PARAMETER.sub(r"{\1}", path)
