"""`command:PROGRAM ARG…`: what a program prints is the secret.

It is run without a shell, so that nothing in the reference is expanded. The law: what it writes,
on either stream, stands in no error; a secret could be among it.
"""

import shlex
import subprocess
from collections.abc import Mapping

from towplane.parts.secrets import SecretMissing

__all__ = ["read_secret"]

WITHIN_S = 10.0
"""A program that takes longer waits for something, perhaps for a person."""


def read_secret(name: str, environ: Mapping[str, str]) -> str:
    """Run it; raises SecretMissing."""
    try:
        words = shlex.split(name)
    except ValueError as error:
        raise SecretMissing(f"the command of a secret cannot be read: {error}") from None
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=WITHIN_S,
            check=False,
            env=dict(environ),
        )
    except subprocess.TimeoutExpired:
        raise SecretMissing(
            f"the program {words[0]} did not answer within {WITHIN_S:.0f} s",
            next_step="it must print the secret and end, without asking anybody",
        ) from None
    except (OSError, ValueError, IndexError) as error:
        program = words[0] if words else "without a name"
        why = error.strerror if isinstance(error, OSError) else "not a program"
        raise SecretMissing(
            f"the program {program} cannot be run: {why}",
            next_step="check that it is there and that the plane's user may run it",
        ) from None
    if done.returncode != 0:
        raise SecretMissing(
            f"the program {words[0]} ended with {done.returncode}",
            next_step="run it by hand, as the plane's user, to see what it says",
        )
    return done.stdout.decode("utf-8", "replace")
