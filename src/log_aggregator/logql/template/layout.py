"""Go's date layouts, which write the reference time Mon Jan 2 15:04:05 MST 2006 as it should look.

Layouts and values are `bytes`, handled as Latin-1 text so that other bytes pass through unchanged.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from log_aggregator.logql.template.gotime import (
    MONTHS,
    NS_PER_SECOND,
    UTC,
    WEEKDAYS,
    Location,
    Time,
    civil_date,
    day_number,
    days_in_month,
    from_civil,
)

_CHUNK = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST"
    r"|0[1-6]|002|15|1|2006|2|_2(?!006)|__2|3|4|5|PM|pm"
    r"|[-Z](?:070000|07:00:00|0700|07:00|07)"
    r"|[.,](?:0+|9+)(?![0-9])"
)


def split_layout(layout: str) -> list[tuple[str, str]]:
    """Split into pairs of literal text and the element of the reference time after it; the last has no element."""
    pairs, at = [], 0
    for found in _CHUNK.finditer(layout):
        pairs.append((layout[at : found.start()], found.group()))
        at = found.end()
    pairs.append((layout[at:], ""))
    return pairs


def format_time(time: Time, layout: bytes) -> bytes:
    """Format a time after a layout."""
    parts = _Parts(time)
    return "".join(text + parts.element(chunk) for text, chunk in split_layout(layout.decode("latin-1"))).encode(
        "latin-1"
    )


def describe_time(time: Time) -> bytes:
    """How a time is printed when no layout is given."""
    return format_time(time, b"2006-01-02 15:04:05.999999999 -0700 MST")


class _Parts:
    def __init__(self, time: Time) -> None:
        self.time = time
        self.zone, self.offset = time.zone()
        self.year, self.month, self.day = time.date()
        self.hour, self.minute, self.second = time.clock()

    def element(self, chunk: str) -> str:
        if not chunk:
            return ""
        if chunk[0] in ".,":
            return self._fraction(chunk)
        if chunk[0] in "-Z":
            return self._numeric_zone(chunk)
        return _FORMATTERS[chunk](self)

    def _fraction(self, chunk: str) -> str:
        digits = f"{self.time.nanosecond:09d}"[: len(chunk) - 1]
        if chunk[1] == "0":
            return chunk[0] + digits
        digits = digits.rstrip("0")
        return chunk[0] + digits if digits else ""

    def _numeric_zone(self, chunk: str) -> str:
        if chunk[0] == "Z" and not self.offset:
            return "Z"
        minutes = abs(self.offset) // 60
        sign = "-" if self.offset < 0 and minutes else "+"
        colon = ":" if ":" in chunk else ""
        text = f"{sign}{minutes // 60:02d}"
        if len(chunk) > 3:
            text += f"{colon}{minutes % 60:02d}"
        if len(chunk) > 6:
            text += f"{colon}{abs(self.offset) % 60:02d}"
        return text

    def hour12(self) -> int:
        return self.hour % 12 or 12

    def named_zone(self) -> str:
        if self.zone:
            return self.zone
        minutes = abs(self.offset) // 60
        sign = "-" if self.offset < 0 else "+"
        return f"{sign}{minutes // 60:02d}{minutes % 60:02d}"

    def long_year(self) -> str:
        return f"{'-' if self.year < 0 else ''}{abs(self.year):04d}"


_FORMATTERS: dict[str, Callable[[_Parts], str]] = {
    "January": lambda p: MONTHS[p.month - 1],
    "Jan": lambda p: MONTHS[p.month - 1][:3],
    "1": lambda p: str(p.month),
    "01": lambda p: f"{p.month:02d}",
    "Monday": lambda p: str(p.time.weekday()),
    "Mon": lambda p: str(p.time.weekday())[:3],
    "2": lambda p: str(p.day),
    "_2": lambda p: f"{p.day:2d}",
    "02": lambda p: f"{p.day:02d}",
    "__2": lambda p: f"{p.time.year_day():3d}",
    "002": lambda p: f"{p.time.year_day():03d}",
    "15": lambda p: f"{p.hour:02d}",
    "3": lambda p: str(p.hour12()),
    "03": lambda p: f"{p.hour12():02d}",
    "4": lambda p: str(p.minute),
    "04": lambda p: f"{p.minute:02d}",
    "5": lambda p: str(p.second),
    "05": lambda p: f"{p.second:02d}",
    "2006": lambda p: p.long_year(),
    "06": lambda p: f"{abs(p.year) % 100:02d}",
    "PM": lambda p: "PM" if p.hour >= 12 else "AM",
    "pm": lambda p: "pm" if p.hour >= 12 else "am",
    "MST": lambda p: p.named_zone(),
}


class _Mismatch(Exception):
    """The value does not fit the layout; never leaves this module."""


def parse_time(layout: bytes, value: bytes, location: Location) -> Time | None:
    """Parse a time after a layout, at a place unless the value names a zone; None if it does not fit."""
    try:
        parsed = _Parsed(value.decode("latin-1"))
        pairs = split_layout(layout.decode("latin-1"))
        for (text, chunk), (_, following) in zip(pairs, [*pairs[1:], ("", "")], strict=True):
            parsed.skip(text)
            parsed.take(chunk, following)
        return parsed.time(location)
    except _Mismatch:
        return None


@dataclass(slots=True)
class _Parsed:
    """What has been read from a value so far, and what is left of it."""

    rest: str
    year: int = 0
    month: int | None = None
    day: int | None = None
    year_day: int | None = None
    hour: int = 0
    minute: int = 0
    second: int = 0
    nanosecond: int = 0
    is_pm: bool | None = None
    is_utc: bool = False
    offset: int | None = None
    zone: str = ""

    def skip(self, text: str) -> None:
        """Skip literal text; runs of spaces are equal to one another."""
        while text:
            if text[0] == " ":
                if self.rest and self.rest[0] != " ":
                    raise _Mismatch
                text, self.rest = text.lstrip(" "), self.rest.lstrip(" ")
            elif self.rest[:1] == text[0]:
                text, self.rest = text[1:], self.rest[1:]
            else:
                raise _Mismatch

    def take(self, chunk: str, following: str) -> None:
        if not chunk:
            if self.rest:
                raise _Mismatch
        elif chunk[0] in ".,":
            self._take_fraction(chunk)
        elif chunk[0] in "-Z":
            self._take_numeric_zone(chunk)
        else:
            _PARSERS[chunk](self, chunk)
            if chunk in ("5", "05") and following[:1] not in (".", ","):
                self._take_unannounced_fraction()

    def _digits(self, least: int, most: int) -> int:
        found = re.match(f"[0-9]{{{least},{most}}}", self.rest)
        if found is None:
            raise _Mismatch
        self.rest = self.rest[found.end() :]
        return int(found.group())

    def _bounded(self, least: int, most: int, low: int, high: int) -> int:
        number = self._digits(least, most)
        if not low <= number <= high:
            raise _Mismatch
        return number

    def _name(self, names: tuple[str, ...], letters: int | None) -> int:
        for index, name in enumerate(names):
            if self.rest[: len(name[:letters])].lower() == name[:letters].lower():
                self.rest = self.rest[len(name[:letters]) :]
                return index
        raise _Mismatch

    def take_year(self, chunk: str) -> None:
        if chunk == "2006":
            self.year = self._digits(4, 4)
        else:
            self.year = self._digits(2, 2)
            self.year += 1900 if self.year >= 69 else 2000

    def take_month(self, chunk: str) -> None:
        if chunk[0] == "J":
            self.month = 1 + self._name(MONTHS, 3 if chunk == "Jan" else None)
        else:
            self.month = self._bounded(len(chunk), 2, 1, 12)

    def take_weekday(self, chunk: str) -> None:
        self._name(WEEKDAYS, 3 if chunk == "Mon" else None)

    def take_day(self, chunk: str) -> None:
        if chunk == "_2" and self.rest[:1] == " ":
            self.rest = self.rest[1:]
        self.day = self._digits(2 if chunk == "02" else 1, 2)

    def take_year_day(self, chunk: str) -> None:
        if chunk == "__2":
            self.rest = self.rest[2 - len(self.rest[:2].lstrip(" ")) if self.rest[:1] == " " else 0 :]
        self.year_day = self._digits(3 if chunk == "002" else 1, 3)

    def take_hour(self, chunk: str) -> None:
        self.hour = self._bounded(1, 2, 0, 23) if chunk == "15" else self._bounded(len(chunk), 2, 0, 12)

    def take_minute(self, chunk: str) -> None:
        self.minute = self._bounded(len(chunk), 2, 0, 59)

    def take_second(self, chunk: str) -> None:
        self.second = self._bounded(len(chunk), 2, 0, 59)

    def take_half(self, chunk: str) -> None:
        half = self.rest[:2]
        if half not in (("AM", "PM") if chunk == "PM" else ("am", "pm")):
            raise _Mismatch
        self.is_pm = half.upper() == "PM"
        self.rest = self.rest[2:]

    def take_zone(self, _chunk: str) -> None:
        if self.rest.startswith("UTC"):
            self.is_utc, self.rest = True, self.rest[3:]
            return
        found = _ZONE_NAME.match(self.rest)
        if found is None:
            raise _Mismatch
        self.zone, self.rest = found.group(), self.rest[found.end() :]

    def _take_numeric_zone(self, chunk: str) -> None:
        if chunk[0] == "Z" and self.rest[:1] == "Z":
            self.is_utc, self.rest = True, self.rest[1:]
            return
        found = _NUMERIC_ZONES[chunk[1:]].match(self.rest)
        if found is None:
            raise _Mismatch
        hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
        if hours > 24 or minutes > 60 or seconds > 60:
            raise _Mismatch
        offset = (hours * 60 + minutes) * 60 + seconds
        self.offset = -offset if found[1] == "-" else offset
        self.rest = self.rest[found.end() :]

    def _take_fraction(self, chunk: str) -> None:
        wanted = f"{{{len(chunk) - 1}}}" if chunk[1] == "0" else "+"
        found = re.match(f"[.,]([0-9]{wanted})", self.rest)
        if found is not None:
            self.nanosecond = int(found[1][:9].ljust(9, "0"))
            self.rest = self.rest[found.end() :]
        elif chunk[1] == "0":
            raise _Mismatch

    def _take_unannounced_fraction(self) -> None:
        # After seconds a value may have a fraction that the layout does not mention.
        self._take_fraction(".9")

    def time(self, location: Location) -> Time:
        if self.is_pm is not None:
            self.hour = self.hour % 12 + 12 if self.is_pm else self.hour % 12 if self.hour == 12 else self.hour
        month, day = self._month_and_day()
        if not 1 <= day <= days_in_month(self.year, month):
            raise _Mismatch
        clock = (self.hour, self.minute, self.second)
        if self.is_utc:
            found = from_civil(self.year, month, day, *clock, UTC)
        elif self.offset is not None or self.zone:
            found = self._in_named_zone(from_civil(self.year, month, day, *clock, UTC), location)
        else:
            found = from_civil(self.year, month, day, *clock, location)
        return found.add(self.nanosecond)

    def _month_and_day(self) -> tuple[int, int]:
        if self.year_day is None:
            return self.month or 1, 1 if self.day is None else self.day
        first = day_number(self.year, 1, 1)
        year, month, day = civil_date(first + self.year_day - 1)
        if year != self.year or self.month not in (None, month) or self.day not in (None, day):
            raise _Mismatch
        return month, day

    def _in_named_zone(self, clock: Time, location: Location) -> Time:
        """Turn a clock reading into an instant, in the wanted place if that has such a zone at the time."""
        if self.offset is not None:
            shifted = clock.add(-self.offset * NS_PER_SECOND)
            name, offset = location.at(shifted.unix)
            if offset == self.offset and self.zone in ("", name):
                return shifted.seen_from(location)
            return shifted.seen_from(Location(self.zone, self.offset))
        known_offset = _offset_of_name(self.zone, clock, location)
        if known_offset is not None:
            return clock.add(-known_offset * NS_PER_SECOND).seen_from(location)
        # An abbreviation that the place does not know is kept, with the offset only of GMT+3 and the like.
        offset = 3600 * int(self.zone[3:]) if self.zone.startswith("GMT") and len(self.zone) > 3 else 0
        return clock.seen_from(Location(self.zone, offset))


def _offset_of_name(zone: str, clock: Time, location: Location) -> int | None:
    """The offset that a place uses under an abbreviation such as CEST, in the year around a time."""
    half_year = 182 * 86_400
    for probe in (0, half_year, -half_year):
        name, offset = location.at(clock.unix + probe)
        if name == zone:
            return offset
    return None


_ZONE_NAME = re.compile(
    r"ChST|MeST|(?:GMT)?[+-]0*(?:[0-9]|1[0-9]|2[0-3])(?![0-9])|GMT"
    r"|[A-Z]{4}T(?![A-Z])|[A-Z]{3}T(?![A-Z])|WITA(?![A-Z])|[A-Z]{3}(?![A-Z])"
)
_NUMERIC_ZONES = {
    "07": re.compile(r"([+-])([0-9]{2})()()"),
    "0700": re.compile(r"([+-])([0-9]{2})([0-9]{2})()"),
    "07:00": re.compile(r"([+-])([0-9]{2}):([0-9]{2})()"),
    "070000": re.compile(r"([+-])([0-9]{2})([0-9]{2})([0-9]{2})"),
    "07:00:00": re.compile(r"([+-])([0-9]{2}):([0-9]{2}):([0-9]{2})"),
}
_PARSERS: dict[str, Callable[[_Parsed, str], None]] = {
    "2006": _Parsed.take_year,
    "06": _Parsed.take_year,
    "January": _Parsed.take_month,
    "Jan": _Parsed.take_month,
    "1": _Parsed.take_month,
    "01": _Parsed.take_month,
    "Monday": _Parsed.take_weekday,
    "Mon": _Parsed.take_weekday,
    "2": _Parsed.take_day,
    "_2": _Parsed.take_day,
    "02": _Parsed.take_day,
    "__2": _Parsed.take_year_day,
    "002": _Parsed.take_year_day,
    "15": _Parsed.take_hour,
    "3": _Parsed.take_hour,
    "03": _Parsed.take_hour,
    "4": _Parsed.take_minute,
    "04": _Parsed.take_minute,
    "5": _Parsed.take_second,
    "05": _Parsed.take_second,
    "PM": _Parsed.take_half,
    "pm": _Parsed.take_half,
    "MST": _Parsed.take_zone,
}
