import pytest

from log_aggregator.model.limits import BlockedQuery, Limits
from log_aggregator.services.query_context import QueryContext, RequestedLimits
from log_aggregator.services.query_limits import QueryingDisabled, check_enabled
from log_aggregator.services.tightest_limits import limits_of_all, tightest


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("max_query_length", (0, 0), 0),
        ("max_query_length", (0, 5), 5),
        ("max_query_length", (7, 5), 5),
        ("query_timeout", (3, 0), 3),
        ("max_query_parallelism", (32, 0), 0),
        ("required_labels", (("a", "b"), ("b", "c")), ("a", "b", "c")),
        ("minimum_labels_number", (1, 2), 2),
        ("volume_enabled", (True, False), False),
        ("max_line_size", (3, 2), 3),
    ],
)
def test_what_all_allow(name: str, values: tuple[object, object], expected: object) -> None:
    found = tightest([Limits.model_validate({name: value}) for value in values])
    assert getattr(found, name) == expected


def test_what_one_tenant_blocks_is_blocked() -> None:
    tenants = {"a": Limits(), "b": Limits(blocked_queries=(BlockedQuery(pattern="x"),))}
    assert limits_of_all(tenants.__getitem__, "a|b").blocked_queries == (BlockedQuery(pattern="x"),)
    assert limits_of_all(tenants.__getitem__, "a") is tenants["a"]


def test_request_can_only_tighten_its_limits() -> None:
    asked = RequestedLimits.model_validate(
        {"maxEntriesLimitPerQuery": 10_000, "maxQueryLength": "1h", "requiredLabels": ["env"], "maxQueryTime": "2m"}
    )
    found = QueryContext(limits=asked).tightened(Limits(max_query_length=0, required_labels=("app",)))
    assert found.max_entries_limit_per_query == Limits().max_entries_limit_per_query
    assert found.query_timeout == Limits().query_timeout
    assert found.max_query_length == 3600 * 10**9
    assert found.required_labels == ("app", "env")


@pytest.mark.parametrize("name", ["max_query_parallelism", "tsdb_max_query_parallelism"])
def test_parallelism_of_zero_disables_queries(name: str) -> None:
    with pytest.raises(QueryingDisabled, match=r"^querying is disabled, please contact your Loki operator$"):
        check_enabled(Limits.model_validate({name: 0}))
