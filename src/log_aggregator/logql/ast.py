"""The syntax tree of LogQL: frozen values, tuples for children, closed unions.

Durations are nanoseconds, sizes bytes.
"""

from dataclasses import dataclass
from typing import Literal

MatchOp = Literal["=", "!=", "=~", "!~"]
CompareOp = Literal["=", "!=", ">", ">=", "<", "<="]
LineOp = Literal["|=", "!=", "|~", "!~", "|>", "!>"]


@dataclass(frozen=True, slots=True)
class Matcher:
    """A comparison of a label with a string or an anchored regular expression."""

    name: str
    op: MatchOp
    value: str


# Label filters


@dataclass(frozen=True, slots=True)
class StringFilter:
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class NumberFilter:
    name: str
    op: CompareOp
    value: float


@dataclass(frozen=True, slots=True)
class DurationFilter:
    name: str
    op: CompareOp
    value_ns: int


@dataclass(frozen=True, slots=True)
class BytesFilter:
    name: str
    op: CompareOp
    value_bytes: int


@dataclass(frozen=True, slots=True)
class IpFilter:
    name: str
    op: Literal["=", "!="]
    pattern: str


@dataclass(frozen=True, slots=True)
class AndFilter:
    left: "LabelFilter"
    right: "LabelFilter"


@dataclass(frozen=True, slots=True)
class OrFilter:
    left: "LabelFilter"
    right: "LabelFilter"


LabelFilter = StringFilter | NumberFilter | DurationFilter | BytesFilter | IpFilter | AndFilter | OrFilter


# Stages


@dataclass(frozen=True, slots=True)
class LineOperand:
    """What a line is compared with; `is_ip` for `ip("...")`."""

    text: str
    is_ip: bool = False


@dataclass(frozen=True, slots=True)
class LineFilterStage:
    """One operator, and its operands joined by `or`."""

    op: LineOp
    operands: tuple[LineOperand, ...]


@dataclass(frozen=True, slots=True)
class Extraction:
    """`label="expression"` of json and logfmt."""

    label: str
    expression: str


@dataclass(frozen=True, slots=True)
class JsonStage:
    """All fields where there are no extractions."""

    extractions: tuple[Extraction, ...] = ()


@dataclass(frozen=True, slots=True)
class LogfmtStage:
    extractions: tuple[Extraction, ...] = ()
    strict: bool = False
    keep_empty: bool = False


@dataclass(frozen=True, slots=True)
class RegexpStage:
    pattern: str


@dataclass(frozen=True, slots=True)
class PatternStage:
    pattern: str


@dataclass(frozen=True, slots=True)
class UnpackStage:
    pass


@dataclass(frozen=True, slots=True)
class LabelFilterStage:
    filter: LabelFilter


@dataclass(frozen=True, slots=True)
class LineFormatStage:
    template: str


@dataclass(frozen=True, slots=True)
class LabelAssignment:
    """`name=source` renames, `name="template"` formats."""

    name: str
    value: str
    is_rename: bool


@dataclass(frozen=True, slots=True)
class LabelFormatStage:
    assignments: tuple[LabelAssignment, ...]


@dataclass(frozen=True, slots=True)
class DecolorizeStage:
    pass


@dataclass(frozen=True, slots=True)
class DropStage:
    """Labels by name, or by name and value."""

    labels: tuple[str | Matcher, ...]


@dataclass(frozen=True, slots=True)
class KeepStage:
    labels: tuple[str | Matcher, ...]


Stage = (
    LineFilterStage
    | JsonStage
    | LogfmtStage
    | RegexpStage
    | PatternStage
    | UnpackStage
    | LabelFilterStage
    | LineFormatStage
    | LabelFormatStage
    | DecolorizeStage
    | DropStage
    | KeepStage
)


# Expressions


@dataclass(frozen=True, slots=True)
class LogExpr:
    """A selector and its pipeline."""

    matchers: tuple[Matcher, ...]
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Unwrap:
    label: str
    conversion: Literal["", "bytes", "duration", "duration_seconds"] = ""
    filters: tuple[LabelFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class LogRange:
    """`selector pipeline | unwrap x [range] offset d`."""

    log: LogExpr
    range_ns: int
    unwrap: Unwrap | None = None
    offset_ns: int = 0


@dataclass(frozen=True, slots=True)
class Grouping:
    labels: tuple[str, ...]
    without: bool = False


@dataclass(frozen=True, slots=True)
class RangeAggregation:
    """`grouping` is its own, or that of an aggregation around it (`engine.pushdown`).

    With one that `asks_for_all`, parsers look for every label all the same, and fail where they would without it.
    """

    operation: str
    range: LogRange
    parameter: float | None = None
    grouping: Grouping | None = None
    asks_for_all: bool = False


@dataclass(frozen=True, slots=True)
class VectorAggregation:
    operation: str
    expr: "MetricExpr"
    parameter: int = 0
    grouping: Grouping | None = None


@dataclass(frozen=True, slots=True)
class VectorMatching:
    """`on` or `ignoring` of labels, and group_left (many-to-one) or group_right (one-to-many) with included labels."""

    cardinality: Literal["one-to-one", "many-to-one", "one-to-many"] = "one-to-one"
    labels: tuple[str, ...] = ()
    on: bool = False
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BinaryOperation:
    operator: str
    left: "MetricExpr"
    right: "MetricExpr"
    matching: VectorMatching = VectorMatching()
    return_bool: bool = False


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    value: float


@dataclass(frozen=True, slots=True)
class VectorLiteral:
    """`vector(1)`."""

    value: float


@dataclass(frozen=True, slots=True)
class LabelReplace:
    expr: "MetricExpr"
    destination: str
    replacement: str
    source: str
    pattern: str


MetricExpr = RangeAggregation | VectorAggregation | BinaryOperation | NumberLiteral | VectorLiteral | LabelReplace
Expr = LogExpr | MetricExpr
