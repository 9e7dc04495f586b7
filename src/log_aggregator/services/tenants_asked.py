"""A selector over several tenants (`model.tenants`), tenant by tenant."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from log_aggregator.engine.selector import compile_matcher
from log_aggregator.logql.ast import Matcher
from log_aggregator.model.tenants import ORIGINAL_TENANT_LABEL, TENANT_LABEL, are_several, tenants_of


def tenants_asked(tenant: str, selector: Sequence[Matcher]) -> Iterator[tuple[str, Sequence[Matcher]]]:
    """Each tenant that the selector accepts, and what it asks of the tenant's own labels."""
    if not are_several(tenant):
        yield tenant, selector
        return
    for one in tenants_of(tenant):
        if all(compile_matcher(matcher)(one) for matcher in selector if matcher.name == TENANT_LABEL):
            yield one, tuple(_own(matcher) for matcher in selector if matcher.name != TENANT_LABEL)


def _own(matcher: Matcher) -> Matcher:
    return replace(matcher, name=TENANT_LABEL) if matcher.name == ORIGINAL_TENANT_LABEL else matcher
