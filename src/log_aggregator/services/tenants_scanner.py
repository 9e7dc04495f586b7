"""Scans over several tenants at once, whose streams have a label that names their tenant."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from log_aggregator.engine.batch import Batch
from log_aggregator.formats.index import Index
from log_aggregator.model.tenants import are_several, tenants_of, with_tenant
from log_aggregator.services.scan import Scanner
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import ChunkUnit, Scan, TailUnit, Unit


class TenantsScanner(Scanner):
    """A Scanner that also takes several tenants as the tenant of a scan (`model.tenants`).

    A scan of one tenant is the same as by a Scanner.
    """

    async def units(self, scan: Scan, statistics: ScanStatistics) -> list[Unit]:
        if not are_several(scan.tenant):
            return await super().units(scan, statistics)
        found: list[Unit] = []
        for tenant in tenants_of(scan.tenant):
            found += await super().units(_of_tenant(scan, tenant), statistics)
        return found

    def units_of(self, index: Index, scan: Scan, index_key: str = "") -> Iterator[ChunkUnit]:
        own = _of_tenant(scan, index.tenant) if are_several(scan.tenant) else scan
        return super().units_of(index, own, index_key)

    async def load(self, unit: Unit, scan: Scan, *how: Any, **forms: Any) -> Batch:
        if not are_several(scan.tenant):
            return await super().load(unit, scan, *how, **forms)
        tenant = _tenant_of(unit)
        batch = await super().load(unit, _of_tenant(scan, tenant), *how, **forms)
        return replace(batch, streams=tuple(with_tenant(labels, tenant) for labels in batch.streams))


def _tenant_of(unit: Unit) -> str:
    return unit.tenant if isinstance(unit, TailUnit) else unit.index.tenant


def _of_tenant(scan: Scan, tenant: str) -> Scan:
    """The tenant's part of a scan over several."""
    return replace(scan, tenant=tenant, accepts=lambda labels: scan.accepts(with_tenant(labels, tenant)))
