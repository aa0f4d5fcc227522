"""The vendors: an emulator of each API with a mood, its credentials, and the bills it writes.

Whatever an emulator's own book says is turned into one `Bill` of the normal form: `input` holds all
input, what was read from a cache or written to one lies inside it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from towplane.testing.anthropic import AnthropicEmulator
from towplane.testing.anthropic import Billed as AnthropicBill
from towplane.testing.bedrock import Account, FakeBedrock
from towplane.testing.bedrock import Bill as BedrockBill
from towplane.testing.emulator import Reply
from towplane.testing.framing import Message
from towplane.testing.issuers import FakeIssuers
from towplane.testing.openai import Azure, OpenAIEmulator
from towplane.testing.openai.server import Billed as OpenAIBill
from towplane.testing.provider import FakeProvider, Script, Seen
from towplane.testing.provider.dialect import Ask
from towplane.testing.vertex import Billed as VertexBill
from towplane.testing.vertex import VertexEmulator
from trouble import moods
from trouble.moods import CUTTING, Mood, Scripts

__all__ = ["KEYS", "ROLE", "Bill", "Vendor", "Vendors", "open_vendors"]

KEYS = {
    name: f"chaos-{name.lower().replace('_', '-')}-0f3a9c"
    for name in ("OPENAI_A", "OPENAI_B", "AZURE_A", "AZURE_B", "ANTHROPIC_A", "ANTHROPIC_B",
                 "AWS_SECRET", "AWS_BEARER", "LOCAL_A", "LOCAL_B")
}  # fmt: skip
"""Secrets by their name in the plane's environment; none may be seen in its log."""
ROLE = "arn:aws:iam::123456789012:role/models"
_STS_KEY = {"AKIDBASE": "base-secret"}
_TOKEN_LIFE_S = 60.0
"""Of Google's tokens and AWS's sessions: renewed a few times a minute all the time."""
_SESSIONS = 2000


Refuse = Callable[[str], None]
"""Refuse `some` credentials from now on, or `all`, or `none`."""


class Bill(NamedTuple):
    """What a vendor wrote down for one attempt."""

    id: str
    vendor: str
    model: str
    status: int
    input: int
    output: int
    cached: int
    written: tuple[int, int] | None
    """Input written to a cache for minutes, and for an hour; None: its book does not say."""
    thought: int | None
    """Output that was thought and not said; None: its book does not say."""
    is_finished: bool
    """The vendor sent the answer to its end."""
    fault: str
    at: float


class _OpenAI(OpenAIEmulator):
    mood: Mood

    async def answer(self, message: Message, reply: Reply) -> None:
        if self.mood.meet(message) == "reset-before-head":
            await reply.reset()
        await super().answer(message, reply)


class _Anthropic(AnthropicEmulator):
    mood: Mood

    async def answer(self, message: Message, reply: Reply) -> None:
        if self.mood.meet(message) == "reset-before-head":
            await reply.reset()
        await super().answer(message, reply)


class _Bedrock(FakeBedrock):
    mood: Mood

    async def answer(self, message: Message, reply: Reply) -> None:
        if self.mood.meet(message) == "reset-before-head":
            await reply.reset()
        await super().answer(message, reply)


class _Vertex(VertexEmulator):
    mood: Mood

    async def answer(self, message: Message, reply: Reply) -> None:
        if self.mood.meet(message) == "reset-before-head":
            await reply.reset()
        await super().answer(message, reply)


class _Local(FakeProvider):
    mood: Mood

    def choose(self, _ask: Ask, message: Message, _before: int) -> Script:
        self.mood.meet(message)
        found: Script = self.mood.script()
        return found


@dataclass
class Vendor:
    """One of them."""

    name: str
    emulator: Any
    mood: Mood
    refuse: Refuse
    pending: list[Seen] = field(default_factory=list)
    is_down: bool = False

    def turn(self, fault: str, share: float) -> None:
        """Another mood."""
        if self.is_down:
            self.emulator.revive()
        self.refuse({"expired": "some", "expired-all": "all"}.get(fault, "none"))
        self.is_down = fault == "down"
        self.mood.share = share
        self.mood.fault = "calm" if fault in ("down", "expired", "expired-all") else fault
        if self.is_down:
            self.emulator.kill()

    def collect(self, *, all_of_them: bool = False) -> list[Bill]:
        """Bills of the attempts that have ended since the last time."""
        waiting, bills = [], []
        for row in (*self.pending, *self.emulator.book.take()):
            if row.ended or all_of_them:
                bills.append(_bill(self, row))
            else:
                waiting.append(row)
        self.pending = waiting
        return bills


@dataclass
class Vendors:
    """All of them, and who issues credentials."""

    all: list[Vendor]
    google_accounts: list[dict[str, str]]
    sts_url: str

    def origin(self, name: str) -> str:
        """Where a vendor is."""
        return str(next(one.emulator.origin for one in self.all if one.name == name))


@contextmanager
def open_vendors(seed: int) -> Iterator[Vendors]:
    """Start them; all are calm."""
    with ExitStack() as stack:
        openai = _OpenAI(keys=_keys("OPENAI_A", "OPENAI_B"))
        resource = Azure(keys=_keys("AZURE_A", "AZURE_B"))
        azure = _OpenAI(models=("gpt-azure",), azure=resource)
        anthropic = _Anthropic(api_keys=_keys("ANTHROPIC_A", "ANTHROPIC_B"))
        sts = stack.enter_context(
            FakeIssuers(roles={ROLE: "external-id-7"}, life_s=_TOKEN_LIFE_S, aws_keys=_STS_KEY)
        )
        bedrock = _Bedrock(accounts=_accounts(0), bearers=(KEYS["AWS_BEARER"],))
        google = _Vertex()
        google.grants.life_s = _TOKEN_LIFE_S
        local = _Local(api_key=None, models=("open",))
        found = [
            _vendor("openai", openai, moods.for_openai, seed, _refuse_key(openai, "keys")),
            _vendor("azure", azure, moods.for_openai, seed, _refuse_key(resource, "keys")),
            _vendor("anthropic", anthropic, moods.for_anthropic, seed,
                    _refuse_key(anthropic, "api_keys")),
            _vendor("bedrock", bedrock, moods.for_bedrock, seed, _refuse_sessions(bedrock, sts)),
            _vendor("vertex", google, moods.for_vertex, seed, _refuse_tokens(google)),
            _vendor("local", local, moods.for_local, seed, _refuse_local(local)),
        ]  # fmt: skip
        for vendor in found:
            stack.enter_context(vendor.emulator)
        accounts = [google.grants.service_account(google.origin, name) for name in ("a", "b")]
        yield Vendors(found, accounts, sts.url)


def _vendor(name: str, emulator: Any, make: moods.Make, seed: int, refuse: Refuse) -> Vendor:
    mood = Mood(make, f"{seed} {name}")
    emulator.mood = mood
    emulator.scripts = Scripts(mood)
    return Vendor(name, emulator, mood, refuse)


def _keys(*names: str) -> tuple[str, ...]:
    return tuple(KEYS[name] for name in names)


def _refuse_key(owner: Any, field_: str) -> Refuse:
    """The first key of two is refused, or both."""
    keys = getattr(owner, field_)
    left = {"none": keys, "some": keys[1:], "all": ("a key that nobody has",)}

    def refuse(which: str) -> None:
        setattr(owner, field_, left[which])

    return refuse


def _refuse_local(local: FakeProvider) -> Refuse:
    """Only the second key works, or none does; otherwise no key is asked for."""
    wanted = {"none": None, "some": KEYS["LOCAL_B"], "all": "a key that nobody has"}

    def refuse(which: str) -> None:
        local.api_key = wanted[which]

    return refuse


def _refuse_sessions(bedrock: FakeBedrock, sts: FakeIssuers) -> Refuse:
    """Every session that was issued so far has ended before its time, and the rest with it."""

    def refuse(which: str) -> None:
        accounts = _accounts(0 if which == "none" else len(sts.asked))
        bedrock.accounts = {one.access_key: one for one in accounts}
        bedrock.bearers = set() if which == "all" else {KEYS["AWS_BEARER"]}
        if which == "all":
            bedrock.accounts = {}

    return refuse


def _refuse_tokens(google: VertexEmulator) -> Refuse:
    """Every token that was issued so far has ended before its time."""

    def refuse(which: str) -> None:
        if which != "none":
            google.grants.expire_all()

    return refuse


def _accounts(ended: int) -> tuple[Account, ...]:
    """A static key, and the sessions that STS will issue, of which so many have ended."""
    session = Account("", "", "")
    return (
        Account("AKIDCHAOS", KEYS["AWS_SECRET"]),
        *(
            replace(
                session,
                access_key=f"ASIA{number}",
                secret_key=f"session-secret-{number}",
                token=f"session-token-{number}",
                expires_at=time.time() if number <= ended else float("inf"),
            )
            for number in range(1, _SESSIONS)
        ),
    )


def _bill(vendor: Vendor, row: Seen) -> Bill:
    total, cached = row.input, 0
    written: tuple[int, int] | None = (0, 0)
    thought: int | None = 0
    match row:
        case BedrockBill():
            total, cached, thought = row.total_input, row.cache_read, None
            written = (row.cache_write - row.cache_write_1h, row.cache_write_1h)
        case AnthropicBill():
            cached, written, thought = row.cached, (row.written, row.written_1h), row.thought
        case OpenAIBill():
            cached, thought = row.cached, row.reasoning
        case VertexBill():
            cached, written, thought = row.cached, None, row.thought
    fault = vendor.mood.faults.pop(row.request_id, "calm")
    is_finished = row.finished
    if vendor.name == "local" and fault not in CUTTING:  # it may end an answer with the connection
        is_finished = bool(row.ended) and not row.cancelled
    return Bill(
        row.request_id,
        vendor.name,
        row.model,
        row.status,
        total,
        row.output,
        cached,
        written,
        thought,
        is_finished,
        fault,
        row.at,
    )
