"""What `ip("...")` compares with: an address, a range `a-b`, or a network in CIDR form, of either version."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from log_aggregator.logql.template.strconv import quote_text

Address = IPv4Address | IPv6Address

_PREFIX_LENGTH = re.compile(r"0|[1-9][0-9]*")


class InvalidIpPattern(ValueError):
    """In Loki's words."""

    def __init__(self, text: str) -> None:
        super().__init__(f"ip: invalid pattern: {quote_text(text)}")


@dataclass(frozen=True, slots=True)
class IpPattern:
    """All addresses from `low` to `high`, which are of one version. None that is found in a text has a zone."""

    low: Address
    high: Address
    has_zone: bool = False

    def holds(self, address: Address) -> bool:
        return (
            not self.has_zone
            and address.version == self.low.version
            and int(self.low) <= int(address) <= int(self.high)
        )


@lru_cache(maxsize=1024)
def parse_ip_pattern(text: str) -> IpPattern:
    """Raises InvalidIpPattern."""
    try:
        if "/" in text:
            # Python also takes a netmask, or a network of a zone.
            if "%" in text or not _PREFIX_LENGTH.fullmatch(text.rpartition("/")[2]):
                raise InvalidIpPattern(text)
            network = ip_network(text, strict=False)
            return IpPattern(network.network_address, network.broadcast_address)
        if "-" in text:
            low, high = map(ip_address, text.split("-", 1))
        else:
            low = high = ip_address(text)
    except ValueError as error:
        raise InvalidIpPattern(text) from error
    has_zone = isinstance(low, IPv6Address) and low.scope_id is not None
    if low.version != high.version or int(low) > int(high):
        raise InvalidIpPattern(text)
    return IpPattern(low, high, has_zone)
