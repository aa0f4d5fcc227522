"""A metric that is promised and vanishes is a dead alert: here it is found before it is shipped.

What watches a running installation for it are alerts, which tests/faults.md says are not built yet.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from towplane.monitoring.catalogue import CATALOGUE
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.wire import DONE, LAST, STREAM, chunk, delta, event, usage

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "towplane"

ON_OCCASION = {
    "towplane_complexity_score",  # routes with strong and weak targets
    "towplane_cost_nanousd_total",  # a price is known
    "towplane_mirrored_total",  # routes that mirror
    "towplane_overflow_attempts_total",  # routes with overflow
    "towplane_overflow_cost_nanousd_total",
    "towplane_queue_wait_seconds",  # somebody waited
    "towplane_refusals_total",  # somebody was refused
    "towplane_shed_total",
    "towplane_usage_absent_total",  # a target gave no usage
}
"""Of the workers' families, those that need more than a request to be there."""


def names_in(*files: Path) -> set[str]:
    return {
        name for file in files for name in re.findall(r"\btowplane_[a-z_]+\b", file.read_text())
    }


def family_of(name: str) -> str:
    return name if name in CATALOGUE else re.sub(r"_(bucket|sum|count)$", "", name)


def sources() -> Iterator[Path]:
    for file in SOURCES.rglob("*.py"):
        if file.name != "catalogue.py" and "testing" not in file.parts:
            yield file


def test_f14_every_family_that_the_catalogue_promises_is_counted() -> None:
    named = {
        name for file in sources() for name in re.findall(r'"(towplane_\w+)"', file.read_text())
    }
    assert set(CATALOGUE) <= named


def test_f14_no_page_asks_for_a_family_that_there_is_not() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    assert {family_of(name) for name in names_in(*pages)} <= set(CATALOGUE)


def test_f14_a_worker_that_served_one_request_shows_all_that_it_promises() -> None:
    """One that stops to be shown fails here, unless it is said above what it hangs on."""
    fleet = Fleet(route("m", ["a"]), targets=[target("a")])
    client = fleet.worker.connect()
    client.ask(stream=True)
    fleet.turn()
    says = [delta("a"), delta("b"), delta(finish="stop"), {"choices": [], "usage": usage(10, 2)}]
    up = fleet.worker.upstream("a")
    up.give(STREAM, *[chunk(event(one)) for one in says], chunk(DONE), LAST)
    fleet.turn()
    assert client.answer().status == 200
    shown = {sample.family for sample in fleet.worker.hall.report(1).samples}
    promised = {family.name for family in CATALOGUE.values() if not family.plane}
    assert promised - shown == ON_OCCASION
    fleet.close()
