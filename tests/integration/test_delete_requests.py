"""Delete requests in the store, and what replicas that live on make of them."""

from cluster import Cluster
from log_aggregator.formats.delete_request import DeleteRequest, encode_request
from log_aggregator.formats.keys import delete_request_key
from log_aggregator.model.limits import Limits
from replica import Entry, Replica

LIMITS = Limits(retention_period=0)


async def test_requests_of_two_tenants_may_have_the_same_id(cluster: Cluster) -> None:
    writer = await cluster.writer()
    for tenant, stream in (("one", "a"), ("two", "b")):
        await writer.push([Entry(tenant, "a", 1, "line"), Entry(tenant, "b", 1, "line")])
        request = DeleteRequest("00000000", 1, 0, 10, f'{{stream="{stream}"}}')
        await cluster.store.put(delete_request_key(tenant, request.request_id), encode_request(request))
    reader = Replica(cluster.redis, cluster.names, cluster.store, "reader", limits=LIMITS)
    assert await reader.entries("one") == [Entry("one", "b", 1, "line")]
    assert await reader.entries("two") == [Entry("two", "a", 1, "line")]
