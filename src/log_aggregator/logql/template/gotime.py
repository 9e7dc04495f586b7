"""Go's time.Time, time.Duration and time.Location, as far as templates can reach them.

The local zone is always UTC: what a query answers must not depend on the server's settings.
"""

import datetime
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.strconv import MAX_INT64, MIN_INT64, encode_utf8, wrap_int64
from log_aggregator.model.quantity import format_duration

NS_PER_SECOND = 1_000_000_000
_SECONDS_PER_DAY = 86_400

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


class Month(int):
    """1 is January."""

    def __str__(self) -> str:
        return MONTHS[self - 1] if 1 <= self <= 12 else f"%!Month({int(self)})"


class Weekday(int):
    """0 is Sunday."""

    def __str__(self) -> str:
        return WEEKDAYS[self] if 0 <= self <= 6 else f"%!Weekday({int(self)})"


@dataclass(frozen=True, slots=True)
class Location:
    """A time zone: one of the zone database, or a fixed offset in seconds east of UTC."""

    name: str
    offset_seconds: int = 0
    zone: ZoneInfo | None = None

    def at(self, unix_seconds: int) -> tuple[str, int]:
        """Abbreviation and offset in seconds east that are in force at an instant."""
        if self.zone is None:
            return self.name, self.offset_seconds
        local = _as_datetime(unix_seconds).astimezone(self.zone)
        offset = local.utcoffset()
        assert offset is not None
        return local.tzname() or "", offset // datetime.timedelta(seconds=1)

    def __str__(self) -> str:
        return self.name


UTC = Location("UTC")


def load_location(name: str) -> Location | None:
    """A zone of the zone database, as "Europe/Berlin"; None if there is no such zone."""
    if name in ("", "UTC", "Local"):
        return UTC
    try:
        return Location(name, zone=ZoneInfo(name))
    except (LookupError, ValueError, OSError):
        return None


class Duration(int):
    """Nanoseconds."""

    def __str__(self) -> str:
        return format_duration(self)

    def in_units(self, unit_ns: int) -> float:
        """The duration in units of so many nanoseconds, computed as Go does: whole units plus the rest."""
        sign = -1 if self < 0 else 1
        whole, rest = divmod(abs(int(self)), unit_ns)
        return sign * whole + sign * rest / unit_ns


@dataclass(frozen=True, slots=True)
class Time:
    """An instant, in nanoseconds since 1970 of any size, seen from a place."""

    unix_ns: int
    location: Location = UTC

    @property
    def unix(self) -> int:
        return self.unix_ns // NS_PER_SECOND

    @property
    def nanosecond(self) -> int:
        return self.unix_ns % NS_PER_SECOND

    def zone(self) -> tuple[str, int]:
        return self.location.at(self.unix)

    def local_seconds(self) -> int:
        """Seconds since 1970 as if the local clock showed UTC."""
        return self.unix + self.zone()[1]

    def date(self) -> tuple[int, int, int]:
        return civil_date(self.local_seconds() // _SECONDS_PER_DAY)

    def clock(self) -> tuple[int, int, int]:
        minutes, second = divmod(self.local_seconds() % _SECONDS_PER_DAY, 60)
        return minutes // 60, minutes % 60, second

    def weekday(self) -> Weekday:
        return Weekday((self.local_seconds() // _SECONDS_PER_DAY + 4) % 7)

    def year_day(self) -> int:
        return self.local_seconds() // _SECONDS_PER_DAY - day_number(self.date()[0], 1, 1) + 1

    def seen_from(self, location: Location) -> "Time":
        return Time(self.unix_ns, location)

    def add(self, duration: int) -> "Time":
        return Time(self.unix_ns + duration, self.location)

    def add_date(self, years: int, months: int, days: int) -> "Time":
        """Move by calendar units; the 31st of a shorter month runs over into the next."""
        year, month, day = self.date()
        if max(abs(years), abs(months), abs(days)) > _MAX_CALENDAR_STEP:
            raise CallError("date out of range")
        hour, minute, second = self.clock()
        moved = from_civil(year + years, month + months, day + days, hour, minute, second, self.location)
        return moved.add(self.nanosecond)

    def since(self, other: "Time") -> Duration:
        """The time passed since another instant, cut off at about 292 years."""
        return Duration(min(max(self.unix_ns - other.unix_ns, MIN_INT64), MAX_INT64))

    def truncate(self, duration: int) -> "Time":
        """Round down to a multiple of a duration since the year 1."""
        if duration <= 0:
            return self
        return self.add(-((self.unix_ns - ZERO_TIME.unix_ns) % duration))

    def round(self, duration: int) -> "Time":
        """Round to the nearest multiple of a duration since the year 1, halves up."""
        if duration <= 0:
            return self
        rest = (self.unix_ns - ZERO_TIME.unix_ns) % duration
        return self.add(-rest if 2 * rest < duration else duration - rest)

    def wrapped_unix(self, unit_ns: int) -> int:
        """Units since 1970, wrapped to 64 bits as Go does for far dates."""
        return wrap_int64(self.unix_ns // unit_ns)


# No calendar step of Go's int can be honoured at its far ends; this is 2700 years in days.
_MAX_CALENDAR_STEP = 1_000_000


def day_number(year: int, month: int, day: int) -> int:
    """Days since 1970 of a date of the Gregorian calendar, also before it was introduced."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month - 3) % 12) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def civil_date(days: int) -> tuple[int, int, int]:
    """The inverse of `day_number`: year, month and day."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    return year_of_era + era * 400 + (month <= 2), month, day


def days_in_month(year: int, month: int) -> int:
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    return day_number(*following, 1) - day_number(year, month, 1)


def from_civil(year: int, month: int, day: int, hour: int, minute: int, second: int, location: Location) -> Time:
    """The instant of a date and time of day at a place; months and days may be out of range.

    A time that a clock change skips or repeats is resolved as Go does.
    """
    year += (month - 1) // 12
    days = day_number(year, (month - 1) % 12 + 1, 1) + day - 1
    seconds = days * _SECONDS_PER_DAY + hour * 3600 + minute * 60 + second
    if location.at(seconds)[1]:
        seconds -= location.at(seconds - location.at(seconds)[1])[1]
    return Time(seconds * NS_PER_SECOND, location)


ZERO_TIME = from_civil(1, 1, 1, 0, 0, 0, UTC)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# Two days inside what datetime can hold, so that a zone's offset cannot lead out of it.
_MIN_SECONDS = day_number(1, 1, 3) * _SECONDS_PER_DAY
_MAX_SECONDS = day_number(9999, 12, 29) * _SECONDS_PER_DAY


def _as_datetime(unix_seconds: int) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(seconds=min(max(unix_seconds, _MIN_SECONDS), _MAX_SECONDS))


_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_SECOND,
    "m": 60 * NS_PER_SECOND,
    "h": 3600 * NS_PER_SECOND,
}
_MAX_INT64_DIGITS = 19
_DURATION_PART = re.compile(r"(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))([^0-9.]*)")


def parse_duration(text: str) -> Duration:
    """Parse a Go duration such as `1h30m` or `-1.5s`; raises CallError with Go's message."""
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return Duration(0)
    quoted = _quote(text)
    at, total = 0, 0
    while at < len(body):
        part = _DURATION_PART.match(body, at)
        if part is None:
            raise CallError(f"time: invalid duration {quoted}")
        whole, fraction, only_fraction, unit = part.groups()
        whole = (whole or "").lstrip("0")
        if len(whole) > _MAX_INT64_DIGITS or int(whole or 0) > -MIN_INT64:
            raise CallError(f"time: invalid duration {quoted}")
        if not unit:
            raise CallError(f"time: missing unit in duration {quoted}")
        if unit not in _UNITS_NS:
            raise CallError(f"time: unknown unit {_quote(unit)} in duration {quoted}")
        total += int(whole or 0) * _UNITS_NS[unit] + _fraction_ns(fraction or only_fraction or "", _UNITS_NS[unit])
        at = part.end()
    limit = -MIN_INT64 if text.startswith("-") else MAX_INT64
    if not body or total > limit:
        raise CallError(f"time: invalid duration {quoted}")
    return Duration(-total if text.startswith("-") else total)


def _fraction_ns(digits: str, unit_ns: int) -> int:
    digits = digits[:18]  # Go stops at what fits into an int64
    return int(int(digits or 0) * (unit_ns / 10 ** len(digits)))


def _quote(text: str) -> str:
    escaped = "".join(
        f"\\{char}" if char in '"\\' else char if " " <= char < "\x80" else _hexadecimal_bytes(char) for char in text
    )
    return f'"{escaped}"'


def _hexadecimal_bytes(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in encode_utf8(char))
