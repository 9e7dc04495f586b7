import asyncio

import pytest

from log_aggregator.model.limits import Limits
from log_aggregator.services.query_limits import QueryTimeout, deadline


async def test_query_is_ended_at_its_timeout() -> None:
    with pytest.raises(QueryTimeout, match="request timed out, decrease the duration of the request"):
        async with deadline(Limits(query_timeout=1)):
            await asyncio.Event().wait()


async def test_no_timeout_is_no_deadline() -> None:
    async with deadline(Limits(query_timeout=0)):
        await asyncio.sleep(0)
