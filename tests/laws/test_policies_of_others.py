"""A policy from somebody else's package chooses like one of our own, compiled or not."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from towplane.parts.errors import Unsupported
from towplane.routing.chooser import Chooser
from towplane.routing.demand import Demand
from towplane.routing.policies import GROUP, POLICIES, Policy, _load, known_policies
from towplane.routing.policies.affinity import Affinity
from towplane.routing.policies.cheapest_in_slo import CheapestInSlo
from towplane.routing.policies.chwbl import Chwbl
from towplane.routing.policies.least_cost import LeastCost
from towplane.routing.policies.least_in_flight import LeastInFlight
from towplane.routing.policies.least_work import LeastWork
from towplane.routing.policies.peak_ewma import PeakEwmaPolicy
from towplane.routing.policies.power_of_two import PowerOfTwo
from towplane.routing.policies.prefix import PrefixPolicy
from towplane.routing.policies.random import Random
from towplane.routing.policies.round_robin import RoundRobin
from towplane.routing.policies.scored import Scored
from towplane.routing.policies.weighted import Weighted
from towplane.routing.spec import RouteSpec
from towplane.testing.rosters import make_roster

OURS: tuple[type[Policy], ...] = (
    Affinity, CheapestInSlo, Chwbl, LeastCost, LeastInFlight, LeastWork, PeakEwmaPolicy, PowerOfTwo,
    PrefixPolicy, Random, RoundRobin, Scored, Weighted,
)  # fmt: skip
"""The type checker holds each to the shape that it does not name."""
POLICY = """
    from towplane.routing.policies import Choice, Policy
    from towplane.routing.policies.least_in_flight import LeastInFlight


    class {name}({base}):
        wants = frozenset(("size",))

        def __init__(self, roster, spec):
            self.learned = []
            self.places = range(len(roster))

        def choose(self, demand, barred, turn, now):
            return self.weigh(demand, barred, turn, now).place

        def weigh(self, demand, barred, turn, now):
            place = max(at for at in self.places if at not in barred)
            return Choice(place, "the last", tuple(float(at) for at in self.places))

        def began(self, place, demand, now):
            self.learned.append(place)
            return demand.tokens // 2

        def adopt(self, old):
            self.learned = old.learned
"""


@pytest.fixture(params=["Policy", ""], ids=["a policy", "a class of its shape"])
def theirs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name by which `choose` knows it."""
    name = "last" if request.param else "latest"
    source = dedent(POLICY.format(name="Theirs", base=request.param))
    (tmp_path / f"their_{name}.py").write_text(source)
    about = tmp_path / f"theirs_{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: theirs-{name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = their_{name}:Theirs\n")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop(f"their_{name}", None)
    _load.cache_clear()
    return name


def test_it_chooses_learns_and_is_asked_why(theirs: str) -> None:
    assert theirs in known_policies()
    spec = RouteSpec(targets=[], choose=theirs)
    chooser = Chooser(spec, [make_roster((1, 0), (1, 0), (1, 0))])
    assert chooser.wants == {"size"}
    pick = chooser.pick(Demand(tokens=10), (), 0.0)
    assert pick is not None
    assert (pick.group, pick.place, pick.rivals) == (0, 2, 2)
    assert chooser.began(0, 2, Demand(tokens=10), 0.0) == 5
    choice = chooser.weigh(pick, Demand(), (), 0.0, 0)
    assert (choice.reason, choice.scores) == ("the last", (0.0, 1.0, 2.0))
    around = chooser.pick(Demand(), ("t2",), 0.0)
    assert around is not None
    assert around.place == 1


def test_it_goes_on_where_the_one_before_it_ends(theirs: str) -> None:
    spec = RouteSpec(targets=[], choose=theirs)
    old = Chooser(spec, [make_roster((1, 0), (1, 0))])
    old.began(0, 1, Demand(), 0.0)
    new = Chooser(spec, [make_roster((1, 0), (1, 0))])
    new.adopt(old)
    assert new._policies[0].learned == [1]  # type: ignore[attr-defined]  # theirs


def test_it_is_not_one_of_ours(theirs: str) -> None:
    assert theirs not in POLICIES


def test_all_of_ours_are_held_to_the_shape() -> None:
    assert {POLICIES[name] for name in POLICIES} == set(OURS)


def test_one_that_cannot_be_loaded_is_an_error_that_says_why(theirs: str, tmp_path: Path) -> None:
    (tmp_path / f"their_{theirs}.py").write_text("raise RuntimeError('no licence')\n")
    sys.modules.pop(f"their_{theirs}", None)
    _load.cache_clear()
    with pytest.raises(Unsupported, match=rf"{theirs} cannot be loaded: RuntimeError: no licence"):
        POLICIES[theirs]
