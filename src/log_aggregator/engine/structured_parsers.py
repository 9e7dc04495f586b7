"""What `json` and `logfmt` stages that read one line together make of its fields."""

from collections.abc import Iterable, Sequence
from typing import Final

from log_aggregator.engine.entry_labels import Demand, EntryLabels, join_names
from log_aggregator.engine.logfmt import compile_logfmt
from log_aggregator.engine.shapes import Parser, Shape, json_sample
from log_aggregator.logql import ast
from log_aggregator.logql.paths import parse_json_path, parse_logfmt_key


class StructuredParsers:
    """One of the two stages, or one of each, and then without extractions. Nothing of it changes."""

    def __init__(self, parsers: Sequence[ast.JsonStage | ast.LogfmtStage], demand: Demand) -> None:
        """`demand` is what they are asked for."""
        self.kinds: Final = [_kind_of(parser) for parser in parsers]
        self.json: Final = next((one for one in parsers if isinstance(one, ast.JsonStage)), None)
        self.logfmt: Final = next((one for one in parsers if isinstance(one, ast.LogfmtStage)), None)
        self.demand: Final = demand
        self.extracted: Final = {one.label: _field_of(one, parser) for parser in parsers for one in parser.extractions}
        """The fields that extractions are of, by label."""

    @property
    def is_lenient(self) -> bool:
        """Whether there is a logfmt parser that has nothing to say about text without `=`."""
        return self.logfmt is not None and not self.logfmt.strict and not self.keeps_empty

    @property
    def keeps_empty(self) -> bool:
        """Whether a key of logfmt without a value is a label. Extractions are labels anyway."""
        return self.logfmt is not None and self.logfmt.keep_empty and not self.logfmt.extractions

    def fields(self, names: Iterable[str]) -> dict[str, str]:
        """The fields that labels of these names hold, by label."""
        if not self.extracted:
            return {name: name for name in names}
        return {name: self.extracted[name] for name in names if name in self.extracted}

    def has_all_paths(self, shape: Shape) -> bool:
        """Whether each path of json's extractions leads to the field of its name, or there is nothing of either."""
        if self.json is None or not self.json.extractions:
            return True
        document = json_sample(shape)
        if document is None:
            return False
        for extraction in self.json.extractions:
            found: object = document
            for key in parse_json_path(extraction.expression):
                if isinstance(found, list):
                    return False
                found = found.get(key) if isinstance(found, dict) else None
                if found is None:
                    break
            is_named = self.extracted[extraction.label] in shape.names
            if is_named is not isinstance(found, str) or (found is not None and not is_named):
                return False
        return True

    def labels_found(self, shape: Shape) -> frozenset[str]:
        """The labels of logfmt's extractions that get a value in lines of the shape, whatever the values are."""
        assert self.logfmt is not None
        labels = EntryLabels(0, {}, {}, self.demand)
        compile_logfmt(self.logfmt)(" ".join(f"{name}=x" for name in shape.names), labels)
        return frozenset(name for name in self.extracted if labels.get(name))


def _kind_of(parser: ast.JsonStage | ast.LogfmtStage) -> Parser:
    return "json" if isinstance(parser, ast.JsonStage) else "logfmt"


def _field_of(extraction: ast.Extraction, parser: ast.JsonStage | ast.LogfmtStage) -> str:
    if isinstance(parser, ast.LogfmtStage):
        return parse_logfmt_key(extraction.expression)
    name = ""
    for key in parse_json_path(extraction.expression):
        name = join_names(name, str(key))
    return name
