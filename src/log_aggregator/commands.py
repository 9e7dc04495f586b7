"""The command line: `log-aggregator [command] [flags]`, where the command `serve` may be left out.

The server itself is imported where it is run: neither the supervisor nor the small commands need it.
"""

import asyncio
import getpass
import logging
import os
import pickle
import signal
import socket
import ssl
import sys
import urllib.request
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from log_aggregator import __version__
from log_aggregator.client import commands as client
from log_aggregator.clock import SystemClock
from log_aggregator.config.effective import config_yaml
from log_aggregator.config.errors import ConfigError
from log_aggregator.config.files import Configuration, configure
from log_aggregator.config.flags import parse_flags
from log_aggregator.config.roles import TARGETS
from log_aggregator.config.runtime import read_overrides
from log_aggregator.config.sections import Config
from log_aggregator.config.stores import data_directory_of, store_of
from log_aggregator.embedded import EmbeddedRedis
from log_aggregator.errors import LogAggregatorError, failures_of
from log_aggregator.logs import set_up_logs
from log_aggregator.model.secret_hash import password_hash_text
from log_aggregator.processes import (
    die_with_parent,
    listen,
    open_all_files_allowed,
    usable_cores,
    without_collections,
)
from log_aggregator.stopping import StopSignal
from log_aggregator.storage.filesystem import FilesystemSettings
from log_aggregator.storage.s3_settings import S3Settings
from log_aggregator.supervisor import REFUSED_STATUS, Assignment, Supervisor
from log_aggregator.worker_metrics import summed_registry

logger = logging.getLogger(__name__)

_HEALTH_SECONDS: Final = 5.0
_HEALTH_FLAG: Final = "health"
_ANY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})

_VERSION: Final = f"log-aggregator {__version__}"
_USAGE: Final = """\
log-aggregator: a Loki-compatible log store on Redis and S3

  log-aggregator [serve] [flags]   run a server (the default)
  log-aggregator health [-url U]   exit with 0 if the server on this machine is ready, else with 1; as Loki's
                                   -health [-health.url U] does
  log-aggregator hash-password     print what auth.users[].password_hash wants for a password
  log-aggregator version           print the version
  log-aggregator verify [flags]    read the whole store and say what is damaged; exit with 1 if anything is
  log-aggregator rebuild-index [flags]
                                   write index objects that are lost or damaged anew, from the chunks

Clients of a server, this program or a Loki (each has --help; LOKI_ADDR is where it is):
  log-aggregator query | tail      print what a LogQL query finds, or lines as they arrive
  log-aggregator push              send files or standard input
  log-aggregator labels | series | stats
  log-aggregator delete --older-than 7d
Beside them:
  log-aggregator config check [F]  what a server would make of a configuration
  log-aggregator completion bash   or zsh, fish

Flags of serve, in Go's form (-name=value or -name value):
  -config.file F[,F...]      the first of these that exists; without: cli-config, local-config, config
                             or loki-config in /etc/loki, .yml or .yaml, else defaults
  -config.expand-env=false   leave ${NAME:-default} in the file alone
  -config.strict=false       warn of unknown keys instead of refusing them
  -verify-config             check the configuration and exit
  -print-config-stderr       print the configuration in force
  -log-config-reverse-order  log it, the last line first
  -target=all                which roles to run: all, or some of write, read, backend
  -workers=N                 processes; default 1 with the embedded Redis, else one per core
  -log.level=info            debug, info, warn or error
  -server.http-listen-port=3100
Every other key of the file is a flag too, by its dotted path with dashes, and an environment variable
LOKI_<BLOCK>_<KEY>."""


def run(arguments: Sequence[str], stop: StopSignal) -> int:
    """The exit status."""
    if any(argument.lstrip("-") == _HEALTH_FLAG and argument.startswith("-") for argument in arguments):
        arguments = _like_the_command(arguments)
    named = bool(arguments) and not arguments[0].startswith("-")
    name = arguments[0] if named else "serve"
    if name not in _COMMANDS and name not in client.PARSERS:
        print(f"unknown command {name}\n\n{_USAGE}", file=sys.stderr)
        return 1
    try:
        if name in client.PARSERS:
            return client.run(name, arguments[1:])
        return _COMMANDS[name](arguments[1:] if named else arguments, stop)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1


def _like_the_command(arguments: Sequence[str]) -> Sequence[str]:
    """Loki's own check of its health, `-health [-health.url U]`, as our command takes it: other flags may stand by."""
    rest = [argument for argument in arguments if argument.lstrip("-") != _HEALTH_FLAG]
    for number, argument in enumerate(rest):
        name, _, url = argument.lstrip("-").partition("=")
        if name == f"{_HEALTH_FLAG}.url":
            return ("health", "-url", url or "".join(rest[number + 1 : number + 2]))
    return ("health", *rest)


def _serve(arguments: Sequence[str], stop: StopSignal) -> int:
    flags = parse_flags(arguments)
    if flags.help:
        return _help((), stop)
    if flags.version:
        return _print_version((), stop)
    if flags.list_targets:
        print("\n".join(TARGETS))
        return 0
    configuration = configure(flags, os.environ)
    if flags.print_config:
        print(config_yaml(configuration.config), file=sys.stderr)
    data = data_directory_of(configuration.config, os.environ)
    store = store_of(configuration.config, data)
    if flags.verify_config:
        config = configuration.config
        read_overrides(config.limits_config, config.runtime_config, strict=configuration.strict)
        print("the configuration is valid")
        return 0
    _log_start(configuration, data)
    open_all_files_allowed()
    if flags.log_config:
        for line in reversed(config_yaml(configuration.config).splitlines()):
            logger.info(line)
    return _until_stopped(_serve_all(configuration, store, data, stop))


def _worker(arguments: Sequence[str], stop: StopSignal) -> int:
    """Started by the supervisor, never by people; what to do comes in by standard input."""
    assignment: Assignment = pickle.load(sys.stdin.buffer)
    # Without mercy: a new supervisor may want the port at once, and all that was acknowledged is in the log.
    die_with_parent(assignment.parent_pid, signal.SIGKILL)
    set_up_logs(assignment.configuration.config.server.log_level)
    return _until_stopped(_serve_one(assignment, stop), REFUSED_STATUS)


def _health(arguments: Sequence[str], stop: StopSignal) -> int:
    if len(arguments) == 2 and arguments[0].lstrip("-") == "url":
        named, url = True, arguments[1]
    elif len(arguments) == 1 and arguments[0].lstrip("-").startswith("url="):
        named, url = True, arguments[0].partition("=")[2]
    else:
        named, url = False, _own_url(configure(parse_flags(arguments), os.environ).config)
    # What answers on this machine is ours, though its certificate is for another name; and no proxy leads here.
    context = None if named and not url.startswith("https://127.0.0.1:") else _unverified()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=_HEALTH_SECONDS) as response:
            print(response.read().decode(errors="replace"), end="")
        return 0
    except (OSError, ValueError, HTTPException) as error:  # an HTTP error is an OSError
        print(f"{url}: {error}", file=sys.stderr)
        return 1


def _own_url(config: Config) -> str:
    server = config.server
    scheme = "http" if server.http_tls_config.cert_file is None else "https"
    address = "127.0.0.1" if server.http_listen_address in _ANY_ADDRESS else server.http_listen_address
    host = f"[{address}]" if ":" in address else address
    return f"{scheme}://{host}:{server.http_listen_port}{server.http_path_prefix}/ready"


def _verify(arguments: Sequence[str], stop: StopSignal) -> int:
    from log_aggregator.maintaining import verify

    _, store = _stored(arguments)
    return asyncio.run(verify(store))


def _rebuild_index(arguments: Sequence[str], stop: StopSignal) -> int:
    from log_aggregator.maintaining import rebuild_index

    return asyncio.run(rebuild_index(*_stored(arguments)))


def _stored(arguments: Sequence[str]) -> tuple[Config, S3Settings | FilesystemSettings]:
    """The configuration, and where it says that data lies."""
    config = configure(parse_flags(arguments), os.environ).config
    set_up_logs(config.server.log_level)
    return config, store_of(config, data_directory_of(config, os.environ))


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _hash_password(arguments: Sequence[str], stop: StopSignal) -> int:
    """Reads the password from the terminal, without showing it, or a line of standard input."""
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not password:
        print("no password was given", file=sys.stderr)
        return 1
    print(password_hash_text(password.encode()))
    return 0


def _help(arguments: Sequence[str], stop: StopSignal) -> int:
    try:
        print(_USAGE, flush=True)
    except BrokenPipeError:  # the reader, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _print_version(arguments: Sequence[str], stop: StopSignal) -> int:
    print(_VERSION)
    return 0


_COMMANDS: Final[Mapping[str, Callable[[Sequence[str], StopSignal], int]]] = {
    "serve": _serve,
    "health": _health,
    "hash-password": _hash_password,
    "help": _help,
    "version": _print_version,
    "verify": _verify,
    "rebuild-index": _rebuild_index,
    "worker": _worker,
}


def _until_stopped(serving: Coroutine[Any, Any, None], refused: int = 1) -> int:
    """The exit status: `refused` if another start with this configuration would end in the same way."""
    status = 0
    try:
        asyncio.run(serving)
    except* LogAggregatorError as group:
        errors = failures_of(group)
        status = refused if any(isinstance(error, ConfigError) for error in errors) else 1
        for error in errors:
            logger.error("cannot go on", extra={"error": str(error)})
    return status


async def _serve_all(
    configuration: Configuration, store: S3Settings | FilesystemSettings, data_directory: Path, stop: StopSignal
) -> None:
    config, stopping, clock = configuration.config, stop.event(), SystemClock()
    embedded = not config.redis.url.get_secret_value()
    workers = config.workers or (1 if embedded else usable_cores())
    if workers > 1:  # each needs to know how many share the machine's memory
        config = config.model_copy(update={"workers": workers})
    async with AsyncExitStack() as stack:
        if embedded:
            redis = EmbeddedRedis(data_directory, clock)
            if not await _entered(stack, redis.running(), stopping):
                return
            url = {"url": SecretStr(redis.url)}
            config = config.model_copy(update={"redis": config.redis.model_copy(update=url)})
        configuration = replace(configuration, config=config)
        listening = listen(config.server.http_listen_address, config.server.http_listen_port, workers)
        for one in listening:
            stack.callback(one.close)
        if workers == 1:
            with without_collections():
                from log_aggregator.app import serve

            await serve(configuration, store, listening[0], stopping)
        else:
            await Supervisor(configuration, store, listening, clock).run(stopping)


async def _serve_one(assignment: Assignment, stop: StopSignal) -> None:
    with without_collections():
        from log_aggregator.app import serve

    with socket.socket(fileno=assignment.listening_fd) as listening:
        await serve(assignment.configuration, assignment.store, listening, stop.event(), shown=summed_registry())


async def _entered(stack: AsyncExitStack, context: AbstractAsyncContextManager[None], stopping: asyncio.Event) -> bool:
    """False if we are to stop before the context could be entered."""
    entering = asyncio.ensure_future(stack.enter_async_context(context))
    waiting = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([entering, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not entering.done():
        entering.cancel()
        await asyncio.wait([entering])
        return False
    entering.result()
    return True


def _log_start(configuration: Configuration, data_directory: Path) -> None:
    config = configuration.config
    set_up_logs(config.server.log_level)
    where = {"config": configuration.file or "defaults", "data": data_directory.absolute()}
    logger.info("starting", extra={"version": __version__, "target": config.target, **where})
    for note in configuration.notes:
        logger.warning(note)
