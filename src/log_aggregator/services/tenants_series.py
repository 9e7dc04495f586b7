"""Labels, label values and series of one tenant, or of several (`model.tenants`) together."""

from collections.abc import Sequence

from log_aggregator.model.labels import Labels
from log_aggregator.model.tenants import ORIGINAL_TENANT_LABEL, TENANT_LABEL, are_several, tenants_of, with_tenant
from log_aggregator.services.series_query import Selector, SeriesQueries
from log_aggregator.services.tenants_asked import tenants_asked


class TenantsSeries:
    """The contract is that of SeriesQueries. Streams of several tenants have the label that names theirs."""

    def __init__(self, series: SeriesQueries, *, several_tenants: bool) -> None:
        """`several_tenants`: whether a request may name several. Then one that names one can ask which it is, too."""
        self._series = series
        self._several_tenants = several_tenants

    async def series(self, tenant: str, start_ns: int, end_ns: int, any_of: Sequence[Selector]) -> list[Labels]:
        if not are_several(tenant):
            return await self._series.series(tenant, start_ns, end_ns, any_of)
        found: list[Labels] = []
        for one in tenants_of(tenant):
            own = [rest for selector in any_of for accepted, rest in tenants_asked(tenant, selector) if accepted == one]
            if own or not any_of:
                streams = await self._series.series(one, start_ns, end_ns, own)
                found += [with_tenant(labels, one) for labels in streams]
        return found

    async def label_names(self, tenant: str, start_ns: int, end_ns: int, selector: Selector) -> list[str]:
        if not are_several(tenant):
            return await self._series.label_names(tenant, start_ns, end_ns, selector)
        names = {TENANT_LABEL}
        for one, own in tenants_asked(tenant, selector):
            found = await self._series.label_names(one, start_ns, end_ns, own)
            names |= {ORIGINAL_TENANT_LABEL if name == TENANT_LABEL else name for name in found}
        return sorted(names)

    async def label_values(self, tenant: str, name: str, start_ns: int, end_ns: int, selector: Selector) -> list[str]:
        if name == TENANT_LABEL and self._several_tenants:
            return [one for one, _ in tenants_asked(tenant, selector)]
        if not are_several(tenant):
            return await self._series.label_values(tenant, name, start_ns, end_ns, selector)
        own_name = TENANT_LABEL if name == ORIGINAL_TENANT_LABEL else name
        values: set[str] = set()
        for one, own in tenants_asked(tenant, selector):
            values |= set(await self._series.label_values(one, own_name, start_ns, end_ns, own))
        return sorted(values)
