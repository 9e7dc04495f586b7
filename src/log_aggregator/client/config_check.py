"""`config check`: what a server would say of its configuration, without starting one."""

import os
from argparse import Namespace

from log_aggregator.config.effective import config_yaml
from log_aggregator.config.errors import ConfigError
from log_aggregator.config.files import configure
from log_aggregator.config.flags import parse_flags
from log_aggregator.config.runtime import read_overrides
from log_aggregator.config.stores import data_directory_of, store_of
from log_aggregator.storage.s3_settings import S3Settings


def check(options: Namespace) -> int:
    """Notes are printed; errors of a configuration are raised as ConfigError, all at once."""
    flags = [f"-config.file={options.file}"] if options.file else []
    configuration = configure(parse_flags([*flags, *options.flags]), os.environ)
    config = configuration.config
    data = data_directory_of(config, os.environ)
    store = store_of(config, data)
    overrides = read_overrides(config.limits_config, config.runtime_config, strict=configuration.strict)
    notes = [*configuration.notes, *overrides.warnings]
    if options.print:
        print(config_yaml(config), end="")
        return 0
    for note in notes:
        print(f"note: {note}")
    print(f"file: {configuration.file or 'none, defaults'}")
    where = f"bucket {store.bucket}" if isinstance(store, S3Settings) else f"directory {store.directory}"
    print(f"object store: {where}")
    print(f"redis: {'given' if config.redis.url.get_secret_value() else f'embedded, in {data}'}")
    print("the configuration is valid")
    if options.strict and notes:
        raise ConfigError("there are notes, and --strict allows none")
    return 0
