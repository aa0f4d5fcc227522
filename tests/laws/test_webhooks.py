"""Alerts: what is noted when, what is posted, how it is signed, and what becomes of it."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.clock import Clock
from towplane.parts.errors import Platform
from towplane.parts.storage import Database
from towplane.tenants.accounts import Accounts
from towplane.tenants.alerts import desk as desks
from towplane.tenants.alerts import outbox
from towplane.tenants.alerts.desk import AlertDesk, Standing
from towplane.tenants.alerts.message import (
    GIVE_UP_S,
    SIGNATURE,
    TOLERANCE_S,
    Alert,
    body_of,
    next_try_s,
    sign,
    verify,
)
from towplane.tenants.alerts.watch import LATE_S, Watched, crossings
from towplane.tenants.alerts.wire import Undelivered
from towplane.tenants.journal import JournalWriter
from towplane.tenants.keys import KeyRecord
from towplane.tenants.ledger import Ledger
from towplane.tenants.spec import Alerts, Budget, Limits, ProjectSpec, TenantSpec
from towplane.tenants.windows import Account, Used
from towplane.testing.clock import FakeClock
from towplane.testing.events import opened, settled

NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z
HOOK = Alerts(at=[0.5, 0.8], webhook="https://hook.example/x", secret="env:S")


def near(limits: Limits, used: dict[str, Used], now: float = NOON, **more: object) -> list[object]:
    budget = more.get("budget", Budget())
    assert isinstance(budget, Budget)
    one = Watched(Account("tenant", "acme"), "acme", limits, budget, HOOK)
    found = crossings(one, lambda _, window: used.get(window, Used()), now)
    return [(c.measure, c.window, c.share_ppm, c.used) for c in found]


def test_a_share_is_reached_exactly_when_that_much_is_used() -> None:
    limits = Limits(rpd=10, tpd=1000)
    assert near(limits, {"2026-11-23": Used(4, 499, 0)}) == []
    assert near(limits, {"2026-11-23": Used(5, 800, 0)}) == [
        ("rpd", "2026-11-23", 500_000, 5),
        ("tpd", "2026-11-23", 500_000, 800),
        ("tpd", "2026-11-23", 800_000, 800),
    ]


@given(st.integers(1, 10**18), st.integers(0, 10**18), st.integers(1, PPM := 10**6))
def test_no_rounding_makes_an_alert_early_or_late(amount: int, used: int, ppm: int) -> None:
    one = Watched(
        Account("tenant", "t"),
        "t",
        Limits(),
        Budget(monthly_nanousd=amount),
        Alerts(at=[ppm / PPM]),
    )
    found = list(crossings(one, lambda *_: Used(1, 1, used), NOON))
    assert bool(found) == (used > 0 and used * PPM >= ppm * amount)


def test_a_limit_of_nought_and_those_of_a_minute_are_never_near() -> None:
    used = {"2026-11-23": Used(9, 9, 9), "2026-11": Used(9, 9, 9)}
    assert near(Limits(rpd=0, rpm=1, tpm=1, concurrency=1), used) == []


def test_a_window_that_has_just_ended_is_still_looked_at() -> None:
    midnight = NOON + 43_200
    yesterday = {"2026-11-23": Used(9, 0, 0)}
    assert len(near(Limits(rpd=10), yesterday, midnight + LATE_S - 1)) == 2
    assert near(Limits(rpd=10), yesterday, midnight + LATE_S) == []


def alert(**more: object) -> Alert:
    fields: dict[str, object] = {
        "id": "alert_1", "at": datetime.fromtimestamp(NOON, UTC), "tenant": "acme",
        "kind": "project", "name": "acme/web", "measure": "monthly", "window": "2026-11",
        "share": 0.8, "limit": 100, "used": 81,
    }  # fmt: skip
    return Alert(**(fields | more))  # type: ignore[arg-type]


def test_the_message_says_all_that_a_receiver_needs() -> None:
    assert json.loads(body_of(alert(), plane="p", mode="soft")) == {
        "id": "alert_1",
        "type": "limit.near",
        "created_at": "2026-11-23T12:00:00Z",
        "plane": "p",
        "tenant": "acme",
        "account": {"kind": "project", "name": "acme/web"},
        "measure": "monthly",
        "unit": "nanousd",
        "mode": "soft",
        "window": "2026-11",
        "window_ends_at": "2026-12-01T00:00:00Z",
        "share": 0.8,
        "limit": 100,
        "used": 81,
    }
    reached = json.loads(body_of(alert(share=1.0, window="total"), plane="p", mode="hard"))
    assert (reached["type"], reached["window_ends_at"]) == ("limit.reached", None)


@given(st.binary(max_size=50), st.binary(max_size=50), st.floats(0, 2**33))
def test_only_who_has_the_secret_is_believed_and_only_for_a_while(
    body: bytes, other: bytes, now: float
) -> None:
    header = sign(body, "secret", now)
    assert verify(body, header, "secret", now + TOLERANCE_S - 1)
    assert not verify(body, header, "other", now)
    assert not verify(body, header, "secret", now + TOLERANCE_S + 1)
    assert verify(other, header, "secret", now) == (body == other)
    seconds, mac = (part.partition("=")[2] for part in header.split(","))
    assert not verify(body, f"t={int(seconds) + 1},v1={mac}", "secret", now)


def test_broken_signatures_are_refused_and_break_nothing() -> None:
    for header in ("", "t=", "t=x,v1=y", "v1=abc", "t=٣,v1=", "t=-1,v1=a", ",,,", "t=1"):
        assert not verify(b"", header, "secret", 1.0)


def test_waiting_grows_and_is_jittered_over_all_of_it() -> None:
    assert [next_try_s(tries, 1.0) for tries in (0, 1, 2, 20)] == [5, 10, 20, 3600]
    assert next_try_s(3, 0.0) == 0.0


class World:
    """A desk over a real database, with a post office in place of the wire."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.database = Database(folder / "ledger.sqlite")
        self.time = FakeClock(wall_s=NOON)
        self.tenant = TenantSpec(
            budget=Budget(monthly_nanousd=100, total_nanousd=1000),
            projects={"web": ProjectSpec(limits=Limits(rpd=10, mode="soft"))},
            alerts=HOOK,
        )
        self.accounts = Accounts(self.database, folder, {"acme": self.tenant})
        wanted = KeyRecord(id="", tenant="acme", digest=b"", project="web")
        self.key = self.accounts.create_key("acme", wanted, now=NOON).record.id
        self.ledger = Ledger(self.database, folder / "journal")
        self.writer = JournalWriter(folder / "journal" / "one", segment_bytes=128 * 1024)
        self.number = 0
        self.posted: list[tuple[str, bytes, dict[str, str]]] = []
        self.answers: list[int | Exception] = []
        self.secret: str | Exception = "s3cret"
        monkeypatch.setattr(desks, "post", self._post)
        self.desk = self.restart()

    def restart(self) -> AlertDesk:
        self.desk = AlertDesk(
            self.database,
            standing=lambda: Standing(
                "p", self.accounts.tenants(), self.accounts.keys(), Alerts(at=[])
            ),
            reveal=self._reveal,
            clock=Clock(self.time.monotonic, self.time.wall),
            jitter=lambda: 1.0,
        )
        return self.desk

    def spend(self, cost: int, count: int = 1) -> None:
        for _ in range(count):
            self.number += 1
            at = self.time.wall()
            id = f"r{self.number:04}.1"
            self.writer.append(opened(id, tenant="acme", key=self.key, at=at))
            self.writer.append(settled(id, cost_nanousd=cost))
        self.ledger.fold()

    def listed(self) -> list[tuple[str, str, float, str]]:
        with self.database.read() as connection:
            found = outbox.listed(connection, None, 100)
        return sorted((one.kind, one.measure, one.share, one.state) for one in found)

    def _reveal(self, reference: str) -> str:
        if isinstance(self.secret, Exception):
            raise self.secret
        return self.secret

    async def _post(
        self, url: str, body: bytes, headers: dict[str, str], *, public_only: bool
    ) -> int:
        self.posted.append((url, body, headers))
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def test_each_share_is_told_once_in_its_window_whoever_restarts(world: World) -> None:
    world.spend(10, count=5)
    assert world.desk.look() == 2, "half of the month's budget, half of the project's day"
    assert world.desk.look() == 0
    assert await world.desk.send_due() == 2
    desk = world.restart()
    assert desk.look() == 0
    assert await desk.send_due() == 0
    world.spend(30)
    assert desk.look() == 1
    assert await desk.send_due() == 1
    assert world.listed() == [
        ("project", "rpd", 0.5, "sent"),
        ("tenant", "monthly", 0.5, "sent"),
        ("tenant", "monthly", 0.8, "sent"),
    ]
    world.time.advance(86_400)
    world.spend(0, count=5)
    assert desk.look() == 1, "the project's day is a new one; the month is not"


async def test_what_is_posted_is_signed_and_has_an_id(world: World) -> None:
    world.spend(60)
    world.desk.look()
    await world.desk.send_due()
    ((url, body, headers),) = world.posted
    assert url == "https://hook.example/x"
    assert verify(body, headers[SIGNATURE], "s3cret", NOON)
    assert json.loads(body)["id"] == headers["towplane-event-id"]
    assert b"s3cret" not in body


async def test_a_failure_is_tried_again_later_with_the_same_id(world: World) -> None:
    world.spend(60)
    world.desk.look()
    world.answers = [500, Undelivered("no connection: refused"), 302, 200]
    for wait_s in (5, 10, 20):
        assert await world.desk.send_due() == 0
        assert await world.desk.send_due() == 0, "not before its time"
        world.time.advance(wait_s - 0.1)
        assert await world.desk.send_due() == 0
        world.time.advance(0.2)
    desk = world.restart()
    assert await desk.send_due() == 1
    assert len({headers["towplane-event-id"] for _, _, headers in world.posted}) == 1
    assert len(world.posted) == 4
    signatures = [headers[SIGNATURE] for _, _, headers in world.posted]
    assert len(set(signatures)) == 4, "each try has the time of its own"


async def test_what_nobody_takes_for_a_day_is_given_up_and_said(world: World) -> None:
    world.spend(60)
    world.desk.look()
    world.answers = [Undelivered("refused")] * 100
    for _ in range(60):
        await world.desk.send_due()
        world.time.advance(GIVE_UP_S / 50)
    with world.database.read() as connection:
        (one,) = outbox.listed(connection, None, 10)
    assert (one.state, one.trouble) == ("failed", "refused")
    count = len(world.posted)
    await world.desk.send_due()
    assert len(world.posted) == count


async def test_a_secret_that_cannot_be_read_now_delays_and_unsigned_nothing_is_sent(
    world: World,
) -> None:
    world.spend(60)
    world.desk.look()
    world.secret = Platform("the file of the secret is gone")
    assert await world.desk.send_due() == 0
    assert world.posted == []
    world.secret = "s3cret"
    world.time.advance(6)
    assert await world.desk.send_due() == 1


async def test_a_raised_limit_is_a_new_limit(world: World) -> None:
    world.spend(60)
    assert world.desk.look() == 1
    world.accounts = Accounts(
        world.database,
        world.folder,
        {"acme": TenantSpec(budget=Budget(monthly_nanousd=120), alerts=HOOK)},
    )
    assert world.desk.look() == 1, "half of the new one"
    assert world.desk.look() == 0


async def test_without_a_webhook_it_is_listed_only(world: World) -> None:
    spec = TenantSpec(budget=Budget(monthly_nanousd=100), alerts=Alerts(at=[0.5]))
    world.accounts = Accounts(world.database, world.folder, {"acme": spec})
    world.spend(60)
    assert world.desk.look() == 1
    assert await world.desk.send_due() == 0
    assert world.listed() == [("tenant", "monthly", 0.5, "listed")]


async def test_a_webhook_that_went_away_meanwhile_ends_the_message(world: World) -> None:
    world.spend(60)
    world.desk.look()
    world.accounts = Accounts(world.database, world.folder, {"acme": TenantSpec()})
    assert await world.desk.send_due() == 0
    assert world.listed() == [("tenant", "monthly", 0.5, "listed")]
    assert world.posted == []


async def test_a_tenant_whose_receiver_hangs_delays_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = {
        name: TenantSpec(
            budget=Budget(monthly_nanousd=10),
            alerts=Alerts(at=[0.1, 0.2, 0.3, 0.4], webhook=f"https://{name}.example", secret="x"),
        )
        for name in ("slow", "quick")
    }
    world.accounts = Accounts(world.database, world.folder, declared)
    for name in declared:
        world.number += 1
        id = f"r{world.number:04}.1"
        world.writer.append(opened(id, tenant=name, key=name, at=NOON))
        world.writer.append(settled(id, cost_nanousd=9))
    world.ledger.fold()
    assert world.desk.look() == 8
    posted: list[str] = []

    async def post(url: str, *_: object, **__: object) -> int:
        posted.append(url)
        if "slow" in url:
            await asyncio.Event().wait()
        return 200

    monkeypatch.setattr(desks, "post", post)
    monkeypatch.setattr(desks, "POST_S", 0.0)
    task = asyncio.create_task(world.desk.posting())
    async with asyncio.timeout(60):
        while sum(1 for one in world.listed() if one[3] == "sent") < 4:
            await asyncio.sleep(0)
    assert posted.count("https://slow.example") == 2
    assert posted.count("https://quick.example") == 4
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_queue_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_WAITING", 1)
    world.spend(90)
    assert world.desk.look() == 2
    assert sorted(state for *_, state in world.listed()) == ["failed", "waiting"]


def test_what_is_old_is_forgotten_but_not_what_would_be_told_again(world: World) -> None:
    world.spend(600)
    world.desk.look()
    world.time.advance(100 * 86_400)
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE alerts SET state = 'sent'")
        outbox.prune(connection, world.time.wall())
    assert {measure for _, measure, _, _ in world.listed()} == {"total"}
    world.desk.look()
    assert {measure for _, measure, _, _ in world.listed()} == {"total"}
