"""Secrets: references in the document, sealed values in memory.

A document holds `env:NAME`, `file:PATH` or the like; `STORES` lists the forms that need more than
that. The value is read at start, when the document changes, and when what is behind it may have
(`parts.secret_watch`). This module knows no section; it is told the reference and the environment.

The law: a sealed value never shows in a repr, a log line, an error or a pickle; only `reveal`
gives it away, and an error names the reference, not what stands behind it.
"""

import hmac
import os
import stat
from collections.abc import Mapping
from importlib import import_module
from typing import NoReturn

from towplane.parts.errors import Platform

__all__ = ["STORES", "Sealed", "SecretMissing", "resolve_secret"]

STORES = {
    "command": "towplane.parts.stores.command",
    "vault": "towplane.parts.stores.vault",
    "aws-secretsmanager": "towplane.parts.stores.aws",
    "gcp-secretmanager": "towplane.parts.stores.google",
    "azure-keyvault": "towplane.parts.stores.azure",
}
"""By scheme: the module that reads it, loaded when a document first has it."""

_MOST_BYTES = 64 * 1024


class SecretMissing(Platform):
    """A reference leads to nothing that can be used."""

    code = "secret_missing"


class Sealed:
    """A secret value that does not show itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Sealed(…)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sealed):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sealed secret is not pickled or copied by value")


def resolve_secret(reference: str, environ: Mapping[str, str]) -> Sealed:
    """The value behind a reference; blocks where it must ask. Raises `SecretMissing`, or
    `Unsupported` where a package for it is not installed."""
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        value = _read_variable(name, environ)
    elif scheme == "file":
        value = _read_file(name)
    elif scheme in STORES:
        value = import_module(STORES[scheme]).read_secret(name, environ)
    else:
        raise SecretMissing("not a reference: a secret is written env:NAME or file:PATH")
    return Sealed(_check_value(reference, value))


def _read_variable(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if value is None:
        raise SecretMissing(
            f"the environment variable {name} is not set",
            next_step=f"export {name} before you start the plane",
        )
    return value


def _read_file(path: str) -> str:
    try:
        # Not blocking: a fifo or a device must not hold the start of the plane.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise SecretMissing(f"{path} is not a file")
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SecretMissing(
            f"the secret file {path} cannot be read: {os.strerror(error.errno or 0)}",
            next_step="check the path and that the plane's user may read it",
        ) from None
    if len(data) > _MOST_BYTES:
        raise SecretMissing(f"the secret file {path} is larger than {_MOST_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SecretMissing(f"the secret file {path} is not UTF-8 text") from None


def _check_value(reference: str, text: str) -> str:
    value = text.strip()
    if not value:
        raise SecretMissing(f"{reference} is empty", next_step="put the secret there")
    if value.startswith("{"):
        value = _on_one_line(value)
    if not value.isprintable():
        # A line break in a key would end its header and begin another.
        raise SecretMissing(f"{reference} holds line breaks or control characters")
    return value


def _on_one_line(text: str) -> str:
    """A JSON object, such as the key of a service account, may be written in lines."""
    import msgspec

    try:
        return msgspec.json.encode(msgspec.json.decode(text)).decode()
    except msgspec.DecodeError:
        return text
