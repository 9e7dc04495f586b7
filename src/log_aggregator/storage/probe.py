"""Whether a server honours conditional puts. Some ignore the condition without a word, others refuse the request."""

import uuid
from enum import StrEnum

from log_aggregator.storage.errors import ObjectExists, StoreRefused
from log_aggregator.storage.store import ObjectStore


class ConditionalPut(StrEnum):
    """What became of a put with `if_absent` to a key that has an object."""

    WORKS = "works"
    IGNORED = "ignored"  # the object was replaced
    REFUSED = "refused"  # the server does not know the condition


async def probe_conditional_put(store: ObjectStore, prefix: str) -> ConditionalPut:
    """Tries it on an object of its own below the prefix, which is empty or ends in '/'. Raises the store's errors."""
    key = f"{prefix}conditional-put-probe-{uuid.uuid4().hex}"
    await store.put(key, b"")
    try:
        await store.put(key, b"", if_absent=True)
    except ObjectExists:
        return ConditionalPut.WORKS
    except StoreRefused:
        return ConditionalPut.REFUSED
    else:
        return ConditionalPut.IGNORED
    finally:
        await store.delete([key])
