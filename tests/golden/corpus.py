"""The recorded corpus: a dataset, requests over it, and what a real Loki (revision 65e30f8488e8) answered.

`push.ndjson.gz` has bodies for the push API, in their order; `cases/CATEGORY.jsonl` requests;
`expected/CATEGORY.jsonl.gz` status and body by the id of the case: JSON, or the text of an error.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

_CORPUS = Path(__file__).parent / "corpus"
CATEGORIES = tuple(sorted(path.stem for path in (_CORPUS / "cases").glob("*.jsonl")))


@dataclass(frozen=True)
class Case:
    """A request, and in what the comparison of its answer departs from the usual (`comparison`)."""

    id: str
    path: str
    params: Mapping[str, str | list[str]] = field(default_factory=dict)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    compare: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        query = urlencode(self.params, doseq=True)
        return f"{self.path}?{query}" if query else self.path


@dataclass(frozen=True)
class Answer:
    """The body is text where it is no JSON document, or an error."""

    status: int
    body: Any


def pushes() -> Iterator[bytes]:
    with gzip.open(_CORPUS / "push.ndjson.gz") as bodies:
        yield from bodies


def cases_of(category: str) -> list[tuple[Case, Answer]]:
    with gzip.open(_CORPUS / "expected" / f"{category}.jsonl.gz") as lines:
        answers = {answer["id"]: Answer(answer["status"], answer["body"]) for answer in map(json.loads, lines)}
    requests = (_CORPUS / "cases" / f"{category}.jsonl").read_text().splitlines()
    cases = [Case(**json.loads(line)) for line in requests if line]
    return [(case, answers[case.id]) for case in cases]
