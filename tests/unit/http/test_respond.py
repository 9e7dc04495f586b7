import pytest

from log_aggregator.http.respond import takes_gzip


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("br, GZIP", True),
        ("gzip, deflate, br", True),
        ("gzip;q=1.0, identity; q=0.5", True),
        ("gzip ; q=0.001", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, deflate", False),
        ("notgzip", False),
    ],
)
def test_gzip_is_for_those_who_take_it(accepted: str, takes: bool) -> None:
    assert takes_gzip(accepted) is takes
