"""Engines are asked for their metrics, each by itself, and workers are told."""

import asyncio
from collections.abc import Callable
from typing import get_args, get_type_hints

from towplane.engines.signals import TABLES
from towplane.gateway.messages import Observed, SignalsAt, TargetInfo
from towplane.gateway.scrape import Scraper, Source, sources_of
from towplane.providers.spec import EngineSignals
from towplane.routing.signals import Signals
from towplane.testing.fleet import Fleet, route, target

VLLM = SignalsAt("vllm", "/metrics")
PAGE = b"vllm:num_requests_running 2\nvllm:num_requests_waiting 1\nvllm:kv_cache_usage_perc 0.5\n"


def info(
    name: str, host: str = "a", state: str = "ready", at: SignalsAt | None = VLLM
) -> TargetInfo:
    return TargetInfo(name, "provider", host, 80, "/v1", "m", signals=at, state=state)


class Scene:
    """Servers that answer what they are told to, and time that passes when everybody waits."""

    def __init__(self, pages: dict[str, bytes | None]) -> None:
        self.pages = pages
        self.now = 0.0
        self.told: list[tuple[str, Signals, float]] = []
        self.asked: list[str] = []
        self.hanging: set[str] = set()
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.scraper = Scraper(
            lambda news: self.told.extend(news.targets),
            now=lambda: self.now, fetch=self._fetch, sleep=self._sleep, dice=lambda: 0.5,
        )  # fmt: skip

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while True:
            await _settle()
            due = min((at for at, _ in self._sleepers), default=until + 1)
            if due > until:
                break
            self.now = due
            for sleeper in [one for one in self._sleepers if one[0] <= due]:
                self._sleepers.remove(sleeper)
                if not sleeper[1].done():
                    sleeper[1].set_result(None)
        self.now = until

    async def _fetch(self, source: Source) -> bytes | None:
        self.asked.append(source.host)
        if source.host in self.hanging:
            await asyncio.Event().wait()
        return self.pages[source.host]

    async def _sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, future))
        await future


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def play(scene: Scene, *steps: Callable[[], None] | float) -> None:
    async def run() -> None:
        for step in steps:
            if callable(step):
                step()
            else:
                await scene.wait(step)
        await scene.scraper.stop()

    asyncio.run(run())


def test_every_target_of_a_server_is_told_what_the_server_says() -> None:
    scene = Scene({"a": PAGE})
    play(scene, lambda: scene.scraper.hold([info("p/one"), info("p/two")]), 1.0)
    assert [name for name, _, _ in scene.told] == ["p/one", "p/two"]
    assert scene.told[0][1] == Signals(2, 1, 0.5, fresh_s=5.0)


def test_it_is_asked_again_and_again_about_once_in_an_interval() -> None:
    scene = Scene({"a": PAGE})
    play(scene, lambda: scene.scraper.hold([info("p/one")]), 10.0)
    assert len(scene.asked) == 10


def test_one_that_hangs_keeps_nobody_waiting() -> None:
    scene = Scene({"a": PAGE, "b": PAGE})
    scene.hanging.add("a")
    play(scene, lambda: scene.scraper.hold([info("p/a"), info("p/b", "b")]), 5.0)
    assert {name for name, _, _ in scene.told} == {"p/b"}
    assert scene.asked.count("b") == 5


def test_what_is_not_heard_is_not_told() -> None:
    scene = Scene({"a": None})
    play(scene, lambda: scene.scraper.hold([info("p/one")]), 5.0)
    assert not scene.told


def test_only_ready_targets_with_a_page_are_asked() -> None:
    odd = SignalsAt("other", "/metrics")
    found = sources_of(
        [info("off", state="draining"), info("none", at=None), info("odd", at=odd), info("p/yes")]
    )
    assert list(found.values()) == [("p/yes",)]


def test_nobody_is_asked_who_left_the_snapshot() -> None:
    scene = Scene({"a": PAGE, "b": PAGE})
    play(
        scene,
        lambda: scene.scraper.hold([info("p/a"), info("p/b", "b")]), 2.0,
        lambda: scene.scraper.hold([info("p/b", "b")]), scene.asked.clear, 3.0,
    )  # fmt: skip
    assert set(scene.asked) == {"b"}


def test_a_worker_dates_the_news_by_its_own_clock() -> None:
    fleet = Fleet(route("m", ["a"]), targets=[target("a")])
    hall = fleet.worker.hall
    hall.observed(Observed([("a/m", Signals(waiting=3), 0.25), ("gone", Signals(), 0.0)]))
    load = hall.targets["a/m"].load
    assert load.signals == Signals(waiting=3, read_at=hall.now() - 0.25)
    assert load.known(hall.now()) is not None
    assert load.known(hall.now() + 5.0) is None
    fleet.close()


def test_the_document_knows_the_engines_that_have_a_table() -> None:
    assert set(get_args(get_type_hints(EngineSignals)["engine"])) == set(TABLES)
