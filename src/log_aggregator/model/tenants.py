"""Several tenants in the place of one: their names with bars between, as the X-Scope-OrgID header has them.

No name of a tenant contains a bar. In answers over several tenants each stream has a label that names its tenant.
"""

from log_aggregator.model.labels import Labels

SEPARATOR = "|"
TENANT_LABEL = "__tenant_id__"
ORIGINAL_TENANT_LABEL = f"original_{TENANT_LABEL}"
"""Where a stream's own label of that name is found."""


def tenants_of(tenant: str) -> tuple[str, ...]:
    return tuple(tenant.split(SEPARATOR))


def are_several(tenant: str) -> bool:
    return SEPARATOR in tenant


def with_tenant(labels: Labels, tenant: str) -> Labels:
    """The stream's labels as an answer over several tenants has them."""
    renamed = ((ORIGINAL_TENANT_LABEL if name == TENANT_LABEL else name, value) for name, value in labels)
    return tuple(sorted([*renamed, (TENANT_LABEL, tenant)]))
