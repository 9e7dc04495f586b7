"""The stages that change the line or labels by templates, and decolorize."""

import re
from typing import Final

from log_aggregator.engine.entry_labels import ERROR, ERROR_DETAILS, REPLACEMENT, EntryLabels
from log_aggregator.engine.stage import Process
from log_aggregator.logql.ast import LabelFormatStage, LineFormatStage
from log_aggregator.logql.template import Field, Template, TemplateRuntimeError, compile_template

TEMPLATE_ERROR: Final = "TemplateFormatErr"

_ERRORS = (ERROR, ERROR_DETAILS)
_LONE_BYTE = re.compile("[\ud800-\udfff]")
# What begins an escape sequence of a terminal, and the two ways it goes on: a text up to the bell, as for titles, or
# numbers and a final character, as for colours and the cursor. A line may be hostile: what is repeated first is not
# given back, which changes nothing, and the numbers of a sequence are gone over twice at most.
_BEGINNING = r"[\x1b\x9b][\[\]()#;?]*+"
_TEXT = r"[a-zA-Z0-9;]*+\x07"
_NUMBERS = r"(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?"
_FINAL = r"[0-9A-PRZcf-ntqry<=>~]"
_ESCAPE_SEQUENCE = re.compile(f"{_BEGINNING}(?:{_TEXT}|{_NUMBERS}{_FINAL})")

ESCAPE_SEQUENCE: Final = _ESCAPE_SEQUENCE.pattern.replace("*+", "*")
"""What `decolorize` takes out of a line, for a column: its expressions go back over nothing anyway."""


def compile_line_format(stage: LineFormatStage) -> Process:
    template = compile_template(stage.template, "line")
    if (simple := template.simple) is not None and (len(simple) == 1 or not _reads_errors(simple)):
        return _simple_line(simple)

    def process(line: str, labels: EntryLabels) -> str:
        text = _rendered(template, labels.all(), line, labels)
        if text is None:
            return line
        # A template may cut a character in two. Answers show such bytes as U+FFFD; here they become so at once.
        return text if text.isascii() else _LONE_BYTE.sub(REPLACEMENT, text)

    return process


def _reads_errors(simple: tuple[str | Field, ...]) -> bool:
    return any(isinstance(part, Field) and part.name in _ERRORS for part in simple)


def _simple_line(simple: tuple[str | Field, ...]) -> Process:
    """A template that is a single field does not see errors, in Loki and here."""

    def process(line: str, labels: EntryLabels) -> str:
        return "".join(part if isinstance(part, str) else labels.get(part.name) or "" for part in simple)

    return process


def compile_label_format(stage: LabelFormatStage) -> Process:
    """All templates of a stage see the labels as the first of them does."""
    steps = tuple(
        (
            assignment.name,
            assignment.value,
            None if assignment.is_rename else compile_template(assignment.value, "label"),
        )
        for assignment in stage.assignments
    )

    def process(line: str, labels: EntryLabels) -> str:
        seen: dict[str, str] = {}
        for name, source, template in steps:
            if template is None:
                value = labels.get(source)
                if value is not None:
                    labels.set(name, value)
                    labels.delete(source)
                    if source in labels.cut:
                        labels.cut = (*labels.cut, name)
                continue
            seen = seen or labels.all()
            text = _rendered(template, seen, line, labels)
            if text is None:
                continue
            if not text.isascii() and _LONE_BYTE.search(text):
                text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                labels.cut = (*labels.cut, name)
            labels.set(name, text)
        return line

    return process


def _rendered(template: Template, values: dict[str, str], line: str, labels: EntryLabels) -> str | None:
    """None, and an error among the labels, where the template fails."""
    try:
        return template.render(values, line, labels.timestamp_ns)
    except TemplateRuntimeError as error:
        labels.fail(TEMPLATE_ERROR, str(error))
        return None


def compile_decolorize() -> Process:
    def process(line: str, labels: EntryLabels) -> str:
        return _ESCAPE_SEQUENCE.sub("", line) if "\x1b" in line or "\x9b" in line else line

    return process
