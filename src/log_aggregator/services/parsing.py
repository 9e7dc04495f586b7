"""Queries parsed without keeping others waiting."""

import asyncio
from typing import Final

from log_aggregator.logql.ast import Expr
from log_aggregator.logql.parser import parse_expr

SHORT: Final = 2048
"""In characters, up to which a text is parsed on the event loop: 20 ms at worst. 128 KB may take most of a second."""


async def parsed(text: str) -> Expr:
    """`parse_expr`. Raises ParseError."""
    return parse_expr(text) if len(text) <= SHORT else await asyncio.to_thread(parse_expr, text)
