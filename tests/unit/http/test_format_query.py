"""The answers of /format_query."""

import json

import pytest
from sanic import Request
from sanic.response import HTTPResponse

from log_aggregator.http.format_query import FormatQueryRoutes
from log_aggregator.http.params import Params
from log_aggregator.http.server import Call


async def answer(query: str) -> HTTPResponse:
    (route,) = FormatQueryRoutes().routes()
    request = Request(b"/loki/api/v1/format_query", {}, "1.1", "GET", None, None)  # type: ignore[arg-type]
    return await route.handler(Call(request, Params({"query": [query]}), "", {}))


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ('{app="x"}|="a"|json', '{app="x"} |= "a" | json'),
        ("1+1", "2"),
        # Stages that cannot be built are laid out all the same.
        ('{app="x"}|line_format "{{"', '{app="x"} | line_format "{{"'),
        ('{app="x"}|~"["', '{app="x"} |~ "["'),
        ('{été="x"}', '{"été"="x"}'),
    ],
)
async def test_query_is_laid_out(query: str, data: str) -> None:
    response = await answer(query)
    assert response.status == 200
    assert json.loads(response.body) == {"status": "success", "data": data}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", "parse error : syntax error: unexpected $end"),
        ("{", "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }"),
        ('{app=~"("}', "parse error : error parsing regexp: missing closing ): `(`"),
    ],
)
async def test_what_is_no_query_is_refused_in_json(query: str, error: str) -> None:
    response = await answer(query)
    assert response.status == 400
    assert json.loads(response.body) == {"status": "invalid-query", "error": error}
