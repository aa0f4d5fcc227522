"""`python -m towplane.testing.provider`: the fake provider as a program of its own.

It prints one JSON line with its address and then answers until its standard input ends. A line on
standard input is a command: `book` prints the books as one JSON line, `clear` empties them.
"""

import argparse
import sys

import msgspec

from towplane.testing.provider.script import Script
from towplane.testing.provider.server import FakeProvider


def main() -> None:
    """Read the options, serve, obey standard input."""
    options = argparse.ArgumentParser(prog="python -m towplane.testing.provider")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--api-key")
    options.add_argument("--models", nargs="*", default=["fake"])
    options.add_argument("--scripts", default="{}", help='JSON: {"MODEL": {...}}')
    given = options.parse_args()
    scripts = msgspec.json.decode(given.scripts, type=dict[str, Script])
    with FakeProvider(
        port=given.port, api_key=given.api_key, models=tuple(given.models), scripts=scripts
    ) as provider:
        _say({"base_url": provider.base_url, "port": provider.port})
        for line in sys.stdin:
            if line.strip() == "book":
                _say({"rows": provider.book.rows(), "malformed": provider.book.malformed})
            elif line.strip() == "clear":
                provider.book.clear()
                _say({})


def _say(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
