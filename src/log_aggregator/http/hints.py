"""What helps whoever sent a request that is refused: a second line below Loki's message.

For queries that cannot be parsed, a table of mistakes that people make, each known by how the query looks. A query that
can be parsed is never looked at.
"""

import re
from collections.abc import Sequence
from typing import Final

from log_aggregator.engine.query_memory import TooManySeries
from log_aggregator.errors import LogAggregatorError
from log_aggregator.http.params import InvalidParameter
from log_aggregator.logql.errors import ParseError
from log_aggregator.services.query_limits import QueryRefused

_QUOTED = r'(?:"(?:[^"\\]|\\.)*"|`[^`]*`)'
_STAGES = "(?:json|logfmt|regexp|pattern|unpack|unwrap|line_format|label_format|decolorize|drop|keep)"
# Each text is one of its parts in one way only: else the time to find none would double with every pair of quotes.
_SELECTOR = rf"\{{(?:{_QUOTED}|[^}}\"`])*\}}"
# Of a longer query nobody would read the hint, and the expressions below may take time with its square.
_MAX_LENGTH: Final = 1000

_MISTAKES: Final[Sequence[tuple["re.Pattern[str]", str]]] = tuple(
    (re.compile(pattern, re.DOTALL), hint)
    for pattern, hint in (
        (r"\s*", "the parameter 'query' is missing or empty"),
        (
            rf"\s*\w+\s*(?:=~|!~|!=|=)\s*{_QUOTED}.*",
            "if curl or a shell took the braces away, use: curl -G --data-urlencode 'query={{...}}'",
        ),
        (
            rf"(?P<before>\s*{_SELECTOR}.*?)\|\s*(?!{_STAGES}\b)(?P<word>\w[\w.:/-]*)\s*",
            'did you mean {before}|= "{word}"? Lines that contain a text: |= "text", that match a regular expression: '
            '|~ "expression"',
        ),
        (
            rf"(?P<before>\s*{_SELECTOR}.*?)\|\s*(?P<text>{_QUOTED})\s*",
            'did you mean {before}|= {text}? Lines that contain a text: |= "text"',
        ),
        (
            rf"(?P<before>\s*{_SELECTOR}.*?)(?P<op>\|=|!=|\|~|!~)\s*(?P<word>[^\s\"`|]+)\s*",
            'did you mean {before}{op} "{word}"? Texts stand in double quotes or backticks',
        ),
        (r"[^\"`]*'[^']*'.*", "strings stand in double quotes or backticks, not in single quotes"),
        (r".*\{[^}\"`]*\w\s*==.*", "labels are compared with =, !=, =~ or !~"),
        (
            r".*\{\s*(?P<name>\w+)\s*(?P<op>=~|!~|!=|=)\s*(?P<value>[^\s\"`,}]+)\s*\}.*",
            'did you mean {{{name}{op}"{value}"}}? Values stand in double quotes or backticks',
        ),
        (
            rf".*\{{[^}}]*{_QUOTED}\s+(?:and|AND|or|OR|&&|\|\|)\s+\w+.*",
            "matchers are separated by commas, and all must match",
        ),
        (
            rf".*\b(?P<function>rate|count_over_time|bytes_rate|bytes_over_time|\w+_over_time)\s*\(\s*{_SELECTOR}"
            r"(?:[^\[\]\"`]|" + _QUOTED + r")*\)[^\[]*",
            "{function} needs a range, such as [5m], behind the query inside it",
        ),
        (r"\s*(?:select|SELECT)\s.*", 'queries are LogQL, such as {{job="manager"}} |= "text"'),
    )
)


def with_hint(error: LogAggregatorError, queries: Sequence[str]) -> str:
    """The error's message, with a line more where something helps that Loki's words leave out."""
    hint = _about(error, queries)
    return f"{error.told}\nhint: {hint}" if hint else error.told


def _about(error: LogAggregatorError, queries: Sequence[str]) -> str | None:
    match error:
        case ParseError():
            return next(filter(None, map(_hint, queries or ("",))), None)
        case InvalidParameter() if error.name:
            return f"the parameter is '{error.name}'"
        case TooManySeries():
            return "the limit is limits_config.max_query_series"
        case QueryRefused() if error.limit:
            return f"the limit is limits_config.{error.limit}"
        case _:
            return None


def _hint(query: str) -> str | None:
    if len(query) > _MAX_LENGTH:
        return None
    for mistake, hint in _MISTAKES:
        if found := mistake.fullmatch(query):
            return hint.format(**found.groupdict())
    return None
