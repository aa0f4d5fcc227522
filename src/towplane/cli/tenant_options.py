"""What the commands about tenants and keys share: options, what they mean, and how it reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from towplane.parts.storage import Database
    from towplane.tenants.accounts import Accounts
    from towplane.tenants.ledger import Ledger
    from towplane.tenants.spec import Budget, Limits, Priority

__all__ = [
    "BudgetTerms",
    "Concurrency",
    "Daily",
    "LimitTerms",
    "Models",
    "Monthly",
    "PriorityWord",
    "Rpm",
    "Total",
    "Tpm",
    "change_budget",
    "change_limits",
    "open_accounts",
    "open_database",
    "open_ledger",
    "read_budget",
    "read_day",
    "read_limits",
    "read_models",
    "read_moment",
    "read_priority",
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
LimitTerms = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=VALUE",
        help="Any limit as the document names it, such as `rpd=10k` or `mode=soft`; repeat. "
        "`rpd=none` lifts it.",
    ),
]
BudgetTerms = Annotated[
    list[str] | None,
    typer.Option(
        "--budget", metavar="NAME=VALUE", help="The same of the budget: `monthly=50 USD`."
    ),
]
PriorityWord = Annotated[
    str | None, typer.Option("--priority", help="`high`, `standard` or `low`: who goes first.")
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="A model it may ask for, or a pattern with `*`; repeat."),
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


def open_database(file: Path) -> "Database":
    """The database of the document at `file`, with all its tables."""
    from towplane.document.load import load_file
    from towplane.parts.storage import Database
    from towplane.tenants.ledger.schema import open_schema

    database = Database(Path(load_file(file).plane.data_dir) / "ledger.sqlite")
    open_schema(database)
    return database


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


def read_limits(
    rpm: str | None, tpm: str | None, concurrency: str | None, terms: list[str] | None = None
) -> "Limits":
    """The limits that the options say."""
    from towplane.tenants.spec import Limits

    limits = Limits(
        rpm=_whole("count", "rpm", rpm),
        tpm=_whole("count", "tpm", tpm),
        concurrency=_whole("count", "concurrency", concurrency),
    )
    return change_limits(limits, terms)


def read_budget(
    daily: str | None, monthly: str | None, total: str | None, terms: list[str] | None = None
) -> "Budget":
    """The budget that the options say."""
    from towplane.tenants.spec import Budget

    budget = Budget(
        daily_nanousd=_whole("money", "daily", daily),
        monthly_nanousd=_whole("money", "monthly", monthly),
        total_nanousd=_whole("money", "total", total),
    )
    return change_budget(budget, terms)


def change_limits(limits: "Limits", terms: list[str] | None) -> "Limits":
    """The limits with what `--limit NAME=VALUE` says of some of them."""
    import msgspec

    return msgspec.structs.replace(limits, **_read_terms("limit", "count", type(limits), terms))


def change_budget(budget: "Budget", terms: list[str] | None) -> "Budget":
    """The budget with what `--budget NAME=VALUE` says of some of it."""
    import msgspec

    return msgspec.structs.replace(budget, **_read_terms("budget", "money", type(budget), terms))


def read_priority(word: str | None) -> "Priority | None":
    """The priority that the option says; None where it says nothing."""
    from typing import get_args

    from towplane.parts.errors import BadRequest
    from towplane.tenants.spec import Priority

    if word is None:
        return None
    for known in get_args(Priority):
        if word == known:
            return known  # type: ignore[no-any-return]  # `get_args` forgets the type
    raise BadRequest(
        f"--priority `{word[:40]}`: expected high, standard or low",
        param="priority",
        next_step="write one of them",
    )


def read_models(models: list[str] | None) -> list[str] | None:
    """The models that the options say; None: all, which `--model all` says too."""
    return None if not models or models == ["all"] else models


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
        (limits.rpd, "requests/day"),
        (limits.tpd, "tokens/day"),
        (limits.requests_per_month, "requests/month"),
        (limits.tokens_per_month, "tokens/month"),
    )
    parts = [f"{value:,} {word}" for value, word in words if value is not None]
    soft = ["days and months soft"] if parts and limits.mode == "soft" else []
    return ", ".join(parts + soft) or None


def say_budget(budget: "Budget") -> str | None:
    """A budget for people; None where there is none."""
    from towplane.parts.money import format_nanousd

    words = (
        (budget.daily_nanousd, "a day"),
        (budget.monthly_nanousd, "a month"),
        (budget.total_nanousd, "in total"),
    )
    parts = [f"{format_nanousd(value)} {word}" for value, word in words if value is not None]
    soft = ["soft"] if parts and budget.mode == "soft" else []
    return ", ".join(parts + soft) or None


def say_models(models: list[str] | None) -> str:
    """Which models, for people."""
    return "all" if models is None else ", ".join(models) or "none"


def say_moment(at: float | None) -> str | None:
    """ISO 8601, UTC, to the second; None where nobody knows."""
    from datetime import UTC, datetime

    if at is None:
        return None
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def _read_terms(
    option: str, unit: str, section: "type[Limits] | type[Budget]", terms: list[str] | None
) -> dict[str, int | str | None]:
    from towplane.parts.errors import BadRequest

    names = dict(zip(section.__struct_encode_fields__, section.__struct_fields__, strict=True))
    found: dict[str, int | str | None] = {}
    for term in terms or []:
        name, is_there, value = (part.strip() for part in term.partition("="))
        is_mode = name == "mode"
        if name not in names or not is_there or (is_mode and value not in ("hard", "soft")):
            raise BadRequest(
                f"--{option} `{term[:80]}`: expected NAME=VALUE with one of {', '.join(names)}",
                param=option,
                next_step="`mode` is hard or soft; `none` lifts any other",
            )
        is_lifted = value == "none" and not is_mode
        found[names[name]] = (
            None if is_lifted else value if is_mode else _whole(unit, option, value)
        )
    return found


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
