"""The commands that ask a server, this one or a Loki: `log-aggregator query '{job="a"}'` and the like."""

import os
import signal
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from log_aggregator.client.completion import SHELLS, completion, words_of
from log_aggregator.client.deletion import delete
from log_aggregator.client.entries import FORMS
from log_aggregator.client.errors import ClientError
from log_aggregator.client.labels import labels, series, stats
from log_aggregator.client.push import push
from log_aggregator.client.query import query

_INTERRUPTED: Final = 130  # what a shell says of a program that Ctrl-C ended
_SERVER_COMMANDS: Final = ("serve", "health", "hash-password", "help", "version", "verify", "rebuild-index")


def run(name: str, arguments: Sequence[str]) -> int:
    """The exit status. Raises ConfigError for `config`."""
    # A server takes its time to end; here nothing is lost.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        options = PARSERS[name]().parse_args(arguments)
        status: int = options.run(options)
        return status
    except ClientError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _query() -> ArgumentParser:
    parser = _asking("query", "Print the lines or samples that a LogQL query finds.", "1h")
    parser.add_argument("query")
    parser.add_argument("--limit", type=int, default=30, help="lines to print; 0: all (default 30)")
    parser.add_argument("--batch", type=int, default=1000, help="lines to ask for at a time (default 1000)")
    parser.add_argument("--forward", action="store_true", help="oldest first")
    parser.add_argument("--instant", action="store_true", help="of a metric query only the samples at the end")
    parser.add_argument("--step", default="", help="of a metric query, such as 30s")
    _add_output(parser)
    parser.set_defaults(run=query)
    return parser


def _tail() -> ArgumentParser:
    parser = _asking("tail", "Print lines as they arrive.", "1m")
    parser.add_argument("query")
    parser.add_argument("--limit", type=int, default=30, help="earlier lines to begin with (default 30)")
    parser.add_argument("--delay-for", type=int, default=0, help="seconds to wait for slower agents, up to 5")
    _add_output(parser)
    parser.set_defaults(run=_run_tail)
    return parser


def _run_tail(options: Namespace) -> int:
    from log_aggregator.client.tail import tail  # websockets need not be loaded for other commands

    return tail(options)


def _push() -> ArgumentParser:
    parser = _parser("push", "Send the lines of files, or of standard input, to a server.")
    _add_server(parser)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="of the stream; repeat it")
    parser.add_argument(
        "--format",
        choices=("lines", "jsonl"),
        default="lines",
        help="jsonl: objects with line, timestamp, labels, structuredMetadata, as query --output jsonl prints",
    )
    parser.set_defaults(run=push)
    return parser


def _labels() -> ArgumentParser:
    parser = _asking("labels", "Print the names of labels, or the values of one.", "1h")
    parser.add_argument("name", nargs="?", default="", help="whose values")
    parser.add_argument("--query", default="", help="only of streams that this selector matches")
    parser.set_defaults(run=labels)
    return parser


def _series() -> ArgumentParser:
    parser = _asking("series", "Print the streams that a selector matches.", "1h")
    parser.add_argument("selector", nargs="?", default="{}")
    parser.add_argument("--count", action="store_true", help="only how many there are, and values of each label")
    parser.set_defaults(run=series)
    return parser


def _stats() -> ArgumentParser:
    parser = _asking("stats", "Print how much the streams hold that a selector matches.", "1h")
    parser.add_argument("selector")
    parser.set_defaults(run=stats)
    return parser


def _delete() -> ArgumentParser:
    parser = _parser("delete", "Delete old entries: from answers at once, from the store later.")
    _add_server(parser)
    parser.add_argument("--url", dest="addr", default=SUPPRESS, help="the same as --addr")
    parser.add_argument("--older-than", required=True, metavar="AGE", help="such as 7d")
    parser.add_argument("--query", default="{}", help="only what this query selects; {} is everything")
    parser.set_defaults(run=delete)
    return parser


def _config() -> ArgumentParser:
    parser = _parser("config", "About configuration files.")
    inner = parser.add_subparsers(required=True, metavar="check")
    check = inner.add_parser("check", help="say what a server would make of a configuration")
    check.add_argument("file", nargs="?", default="", help="without: what a server here would read")
    check.add_argument("--print", action="store_true", help="print the configuration in force, secrets masked")
    check.add_argument("--strict", action="store_true", help="fail if there is anything to note")
    check.add_argument("flags", nargs="*", default=[], help="flags of serve, after --")
    check.set_defaults(run=_run_check)
    return parser


def _run_check(options: Namespace) -> int:
    from log_aggregator.client.config_check import check

    return check(options)


def _completion() -> ArgumentParser:
    parser = _parser("completion", 'Print a script for a shell: eval "$(log-aggregator completion bash)"')
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=_run_completion)
    return parser


def _run_completion(options: Namespace) -> int:
    words: dict[str, Sequence[str]] = dict.fromkeys(_SERVER_COMMANDS, ())
    return completion(options, words | {name: words_of(parser()) for name, parser in PARSERS.items()})


PARSERS: Final[Mapping[str, Callable[[], ArgumentParser]]] = {
    "query": _query,
    "tail": _tail,
    "push": _push,
    "labels": _labels,
    "series": _series,
    "stats": _stats,
    "delete": _delete,
    "config": _config,
    "completion": _completion,
}


def _asking(name: str, description: str, since: str) -> ArgumentParser:
    """Of a range of time of a server."""
    parser = _parser(name, description)
    _add_server(parser)
    parser.add_argument("--since", default=since, help=f"how far back, such as 30m or 7d (default {since})")
    parser.add_argument("--from", dest="start", default="", help="start instead: 2026-01-31T12:00:00Z or Unix time")
    parser.add_argument("--to", default="", help="end (default now)")
    return parser


def _parser(name: str, description: str) -> ArgumentParser:
    return ArgumentParser(
        f"log-aggregator {name}", description=description, formatter_class=RawDescriptionHelpFormatter
    )


def _add_server(parser: ArgumentParser) -> None:
    """Each option has the variable that logcli reads."""
    group = parser.add_argument_group("server, this program or a Loki")
    for option, variable, default, meaning in (
        ("--addr", "LOKI_ADDR", "http://localhost:3100", "its URL"),
        ("--org-id", "LOKI_ORG_ID", "", "tenant"),
        ("--username", "LOKI_USERNAME", "", "of a proxy's basic authentication"),
        ("--password", "LOKI_PASSWORD", "", "likewise"),
        ("--bearer-token", "LOKI_BEARER_TOKEN", "", "of a proxy"),
        ("--ca-cert", "LOKI_CA_CERT_PATH", "", "file of authorities for https"),
    ):
        shown = f" (default {default})" if default else ""
        group.add_argument(option, default=os.environ.get(variable, default), help=f"{meaning}; {variable}{shown}")


def _add_output(parser: ArgumentParser) -> None:
    parser.add_argument("--output", "-o", choices=FORMS, default="default", help="form of a line")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
