import pytest

from log_aggregator.http.tenant import InvalidTenant, NoTenant, tenant_of


def test_header_does_not_count_without_authentication() -> None:
    assert tenant_of({"x-scope-orgid": "team/../other"}, False, "fake") == "fake"


def test_missing_header_is_refused_with_authentication() -> None:
    with pytest.raises(NoTenant, match="no org id"):
        tenant_of({}, True, "fake")


@pytest.mark.parametrize("name", ["team-a", "a" * 150, "A!_.*'()-9"])
def test_valid_names(name: str) -> None:
    assert tenant_of({"x-scope-orgid": name}, True, "fake") == name


@pytest.mark.parametrize("name", [" a", "a \t", "a|a"])
def test_blanks_around_a_name_and_repetitions_mean_nothing(name: str) -> None:
    assert tenant_of({"x-scope-orgid": name}, True, "fake") == "a"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a b", "tenant ID 'a b' contains unsupported character ' '"),
        ("|", "multiple org IDs present"),
        ("a/b", "tenant ID 'a/b' contains unsupported character '/'"),
        ("..", "tenant ID is '.' or '..'"),
        ("a" * 151, "tenant ID is too long: max 150 characters"),
        ("ü", "tenant ID 'ü' contains unsupported character 'ü'"),
        ("a|b", "multiple org IDs present"),
    ],
)
def test_names_that_would_escape_their_prefix(name: str, message: str) -> None:
    with pytest.raises(InvalidTenant) as raised:
        tenant_of({"x-scope-orgid": name}, True, "fake")
    assert str(raised.value) == message


@pytest.mark.parametrize(("name", "expected"), [("b|a", "a|b"), ("a|a", "a"), ("a|b|a", "a|b"), ("a", "a")])
def test_several_tenants_where_they_are_allowed(name: str, expected: str) -> None:
    assert tenant_of({"x-scope-orgid": name}, True, "fake", several=True) == expected


@pytest.mark.parametrize("name", ["a|", "|", "a|b/c", "a|.."])
def test_each_of_several_names_must_be_valid(name: str) -> None:
    with pytest.raises(InvalidTenant):
        tenant_of({"x-scope-orgid": name}, True, "fake", several=True)
