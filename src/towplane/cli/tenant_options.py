"""What the commands about tenants and keys share: options, what they mean, and how it reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from towplane.tenants.accounts import Accounts
    from towplane.tenants.ledger import Ledger
    from towplane.tenants.spec import Budget, Limits

__all__ = [
    "Concurrency",
    "Daily",
    "Models",
    "Monthly",
    "Rpm",
    "Total",
    "Tpm",
    "open_accounts",
    "open_ledger",
    "read_budget",
    "read_day",
    "read_limits",
    "read_moment",
    "read_unit",
    "say_budget",
    "say_limits",
    "say_models",
    "say_moment",
    "user_name",
]

Rpm = Annotated[str | None, typer.Option("--rpm", help="Requests per minute.")]
Tpm = Annotated[str | None, typer.Option("--tpm", help="Tokens per minute, such as `200k`.")]
Concurrency = Annotated[str | None, typer.Option("--concurrency", help="Requests at a time.")]
Daily = Annotated[str | None, typer.Option("--daily", help="Budget per day, such as `5 USD`.")]
Monthly = Annotated[str | None, typer.Option("--monthly", help="Budget per month.")]
Total = Annotated[str | None, typer.Option("--total", help="Budget for its whole life.")]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="A model it may ask for; repeat. None: all.")
]


def open_accounts(file: Path) -> "Accounts":
    """The accounts of the document at `file`."""
    from towplane.document.load import load_file
    from towplane.parts.storage import Database
    from towplane.tenants.accounts import Accounts

    plane = load_file(file).plane
    data_dir = Path(plane.data_dir)
    return Accounts(
        Database(data_dir / "ledger.sqlite"), data_dir, plane.tenants, actor=f"cli:{user_name()}"
    )


def open_ledger(file: Path) -> "Ledger":
    """The ledger of the document at `file`."""
    from towplane.document.load import load_file
    from towplane.parts.storage import Database
    from towplane.tenants.ledger import Ledger

    data_dir = Path(load_file(file).plane.data_dir)
    return Ledger(Database(data_dir / "ledger.sqlite"), data_dir / "journal")


def read_unit(unit: str, option: str, text: str) -> float | int | str:
    """The value of an option in a unit of `parts.units`."""
    from towplane.parts.errors import BadRequest
    from towplane.parts.units import PARSERS, UnitError

    try:
        return PARSERS[unit](text)
    except UnitError as error:
        raise BadRequest(
            f"--{option} `{text}`: {error}", param=option, next_step="write it so and try again"
        ) from error


def read_limits(rpm: str | None, tpm: str | None, concurrency: str | None) -> "Limits":
    """The limits that the options say."""
    from towplane.tenants.spec import Limits

    return Limits(
        rpm=_whole("count", "rpm", rpm),
        tpm=_whole("count", "tpm", tpm),
        concurrency=_whole("count", "concurrency", concurrency),
    )


def read_budget(daily: str | None, monthly: str | None, total: str | None) -> "Budget":
    """The budget that the options say."""
    from towplane.tenants.spec import Budget

    return Budget(
        daily_nanousd=_whole("money", "daily", daily),
        monthly_nanousd=_whole("money", "monthly", monthly),
        total_nanousd=_whole("money", "total", total),
    )


def read_day(option: str, text: str | None) -> str | None:
    """A day, or how long ago it was."""
    import time

    from towplane.tenants.windows import day_of

    if text is None:
        return None
    if text[-1:].isalpha():
        return day_of(time.time() - float(read_unit("duration", option, text)))
    return str(read_unit("date", option, text))


def read_moment(option: str, text: str | None, now: float) -> float | None:
    """Seconds since the epoch: the end of a day (UTC), or so long from now."""
    from datetime import UTC, datetime, timedelta

    if text is None:
        return None
    if text[-1:].isalpha():
        return now + float(read_unit("duration", option, text))
    day = datetime.fromisoformat(str(read_unit("date", option, text))).replace(tzinfo=UTC)
    return (day + timedelta(days=1)).timestamp()


def say_limits(limits: "Limits") -> str | None:
    """Limits for people; None where there are none."""
    words = (
        (limits.rpm, "requests/min"),
        (limits.tpm, "tokens/min"),
        (limits.concurrency, "at a time"),
    )
    return ", ".join(f"{value:,} {word}" for value, word in words if value is not None) or None


def say_budget(budget: "Budget") -> str | None:
    """A budget for people; None where there is none."""
    from towplane.parts.money import format_nanousd

    words = (
        (budget.daily_nanousd, "a day"),
        (budget.monthly_nanousd, "a month"),
        (budget.total_nanousd, "in total"),
    )
    parts = [f"{format_nanousd(value)} {word}" for value, word in words if value is not None]
    return ", ".join(parts) or None


def say_models(models: list[str] | None) -> str:
    """Which models, for people."""
    return "all" if models is None else ", ".join(models) or "none"


def say_moment(at: float | None) -> str | None:
    """ISO 8601, UTC, to the second; None where nobody knows."""
    from datetime import UTC, datetime

    if at is None:
        return None
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def _whole(unit: str, option: str, text: str | None) -> int | None:
    return None if text is None else int(read_unit(unit, option, text))


def user_name() -> str:
    """Who runs the command, for the audit."""
    import getpass
    import os

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many containers
        return str(os.getuid())
