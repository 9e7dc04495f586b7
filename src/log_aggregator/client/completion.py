"""`completion`: a script that lets a shell complete commands and options, made from the parsers themselves."""

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Final

SHELLS: Final = ("bash", "zsh", "fish")
_PROGRAM: Final = "log-aggregator"


def completion(options: Namespace, words: Mapping[str, Sequence[str]]) -> int:
    """`words`: by command, its options and fixed arguments."""
    scripts: Mapping[str, Callable[[Mapping[str, Sequence[str]]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    print(scripts[options.shell](words), end="")
    return 0


def words_of(parser: ArgumentParser) -> list[str]:
    """What may follow the command."""
    words: list[str] = []
    for action in parser._actions:
        words += [option for option in action.option_strings if option.startswith("--")]
        if not action.option_strings and action.choices is not None:
            words += map(str, action.choices)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                words += words_of(inner)
    return sorted(set(words))


def _bash(words: Mapping[str, Sequence[str]]) -> str:
    cases = "".join(f"    {name}) words='{' '.join(own)}' ;;\n" for name, own in words.items())
    return f"""\
_log_aggregator() {{
  local words='{" ".join(words)}'
  ((COMP_CWORD > 1)) && case "${{COMP_WORDS[1]}}" in
{cases}    *) words='' ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}")
}}
complete -o default -F _log_aggregator {_PROGRAM}
"""


def _zsh(words: Mapping[str, Sequence[str]]) -> str:
    return "#compdef log-aggregator\nautoload -U +X bashcompinit && bashcompinit\n" + _bash(words).replace(
        "mapfile -t COMPREPLY < <(compgen", "COMPREPLY=($(compgen"
    ).replace('"${COMP_WORDS[COMP_CWORD]}")\n', '"${COMP_WORDS[COMP_CWORD]}"))\n')


def _fish(words: Mapping[str, Sequence[str]]) -> str:
    lines = [f"complete -c {_PROGRAM} -n __fish_use_subcommand -f -a '{' '.join(words)}'"]
    for name, own in words.items():
        seen = f"__fish_seen_subcommand_from {name}"
        lines += [
            f"complete -c {_PROGRAM} -n '{seen}' -l {word.removeprefix('--')}"
            if word.startswith("--")
            else f"complete -c {_PROGRAM} -n '{seen}' -f -a {word}"
            for word in own
        ]
    return "\n".join(lines) + "\n"
