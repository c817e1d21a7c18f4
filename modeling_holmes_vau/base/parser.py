"""The parser of all our programs: a mistake is one line that names what was probably meant."""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn


CHOICES = re.compile(r"invalid choice: '(?P<got>.*)' \(choose from (?P<choices>.*)\)$", re.DOTALL)


def nearest(word: str, known: Iterable[str]) -> str:
    """A question that ends an error line, or nothing if no known word is near.

    >>> nearest("analyse", ["analyze", "convert"]), nearest("xyz", ["analyze"])
    (' Did you mean analyze?', '')
    """
    found = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {found[0]}?" if found else ""


class Parser(argparse.ArgumentParser):
    """
    An `ArgumentParser` for people: mistakes are one line without a usage, with the nearest option or command; options
    may be written with underscores for hyphens; a program of commands that is called without any prints its help.
    """

    commands = None

    def add_subparsers(self, **kwargs):
        """As that of `ArgumentParser`."""
        self.commands = super().add_subparsers(**kwargs)
        return self.commands

    def parse_known_args(self, args: Sequence[str] | None = None, namespace=None):
        """As that of `ArgumentParser`; an unknown option is an error here, where its neighbours are known."""
        args = list(sys.argv[1:] if args is None else args)
        if self.commands is not None and not args:
            self.print_help()
            self.exit()
        return super().parse_known_args(self._with_known_options(args), namespace)

    def _with_known_options(self, args: list[str]) -> list[str]:
        """The arguments, their options as they were added; of a program of commands those before the command."""
        known, end = self._option_string_actions, args.index("--") if "--" in args else len(args)
        if self.commands is not None:
            end = next((i for i, word in enumerate(args[:end]) if not word.startswith("-")), end)
        for i, word in enumerate(args[:end]):
            name, equals, value = word.partition("=")
            if not name.startswith("--") or " " in name or name in known:
                continue
            if (hyphens := name.replace("_", "-")) in known:
                args[i] = hyphens + equals + value
            elif not any(option.startswith(name) for option in known):
                self.error(f"{name}: no such option.{nearest(hyphens, known)}")
        return args

    def error(self, message: str) -> NoReturn:
        """One line on stderr, and status 2."""
        if found := CHOICES.search(message):
            choices = [choice.strip("'") for choice in found["choices"].split(", ")]
            what = f"{found['got']}: no such command." if message.startswith("argument command:") else f"{message}."
            message = what + nearest(found["got"], choices)
        end = "" if message.endswith(("?", ".")) else "."
        self.exit(2, f"error: {message}{end} See {self.prog} --help\n")


def add_server_arguments(parser: argparse.ArgumentParser, required: bool, concurrency: int) -> None:
    """Options of commands that ask a server.

    Args:
        parser (`argparse.ArgumentParser`, or a group of one): Where to add them.
        required (`bool`): Whether there is no way without a server.
        concurrency (`int`): Default of `--concurrency`.
    """
    parser.add_argument(
        "--endpoint", required=required, metavar="URL", help="of OpenAI's form, such as http://localhost:8000/v1"
    )
    parser.add_argument("--api-key-env", metavar="VAR", help="environment variable that holds the key")
    parser.add_argument(
        "--concurrency", type=int, default=concurrency, metavar="N", help="requests under way at a time (%(default)s)"
    )
    parser.add_argument("--timeout", type=float, default=300.0, metavar="S", help="seconds without a byte (300)")
    parser.add_argument("--retries", type=int, default=5, metavar="N", help="how often a request is repeated (5)")


def server_key(variable: str | None) -> str | None:
    """The key in the environment variable that `--api-key-env` names.

    Raises:
        `ValueError`: if there is none.
    """
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise ValueError(f"--api-key-env {variable}: no such environment variable, or an empty one; set it")
    return os.environ[variable]
