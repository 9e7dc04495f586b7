"""Logs of this program: one logfmt line for each record, on standard error."""

import logging
import sys
from datetime import UTC, datetime
from typing import Final

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_NAMES: Final = {level: name for name, level in LEVELS.items()} | {logging.CRITICAL: "error"}
# What every record has; all else came with `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+@,;%*()[]{}<>!?~^&|$#'")
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


class LogfmtFormatter(logging.Formatter):
    """`ts=... level=info caller=module:line msg="..." key=value`, where keys are those of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields: dict[str, object] = {
            "ts": moment,
            "level": _NAMES.get(record.levelno, record.levelname.lower()),
            "caller": f"{record.name.removeprefix('log_aggregator.')}:{record.lineno}",
            "msg": record.getMessage(),
        }
        fields |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return " ".join(f"{key}={logfmt_value(value)}" for key, value in fields.items())


def logfmt_value(value: object) -> str:
    """Quoted only where it must be."""
    text = str(value)
    return text if text and _PLAIN.issuperset(text) else f'"{text.translate(_ESCAPES)}"'


def set_up_logs(level: str) -> None:
    """From now on, records of at least this level (Loki's names) are written. May be called again."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogfmtFormatter())
    logging.basicConfig(handlers=[handler], level=LEVELS[level], force=True)
    # A line for every request or connection of a library says nothing to an operator.
    for library in ("sanic", "botocore", "aiobotocore", "asyncio", "httpx"):
        logging.getLogger(library).setLevel(max(LEVELS[level], logging.WARNING))
