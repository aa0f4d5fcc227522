"""A request for a LoRA adapter goes where the adapter is."""

import json
from typing import Any

from towplane.gateway.demand import make_demand
from towplane.gateway.receive import PATHS, receive
from towplane.routing.chooser import Chooser
from towplane.routing.demand import NOTHING, Demand
from towplane.routing.roster import Roster
from towplane.routing.signals import Signals
from towplane.routing.spec import RouteSpec
from towplane.testing.rosters import make_roster


def chooser(*said: dict[str, Any] | None) -> tuple[Roster, Chooser]:
    roster = make_roster(*[(1, 0)] * len(said))
    for load, one in zip(roster.loads, said, strict=True):
        if one is not None:
            load.told(Signals(**one))
    return roster, Chooser(RouteSpec(targets=[], adapter="law"), [roster])


def picked(choosing: Chooser, turns: int = 12, now: float = 0.0) -> set[int]:
    picks = [choosing.pick(NOTHING, (), now) for _ in range(turns)]
    return {pick.place for pick in picks if pick is not None}


RUNS: dict[str, Any] = {"adapters": frozenset({"law"}), "adapters_most": 2, "waiting": 0}
ROOM: dict[str, Any] = {"adapters": frozenset({"tax"}), "adapters_most": 2, "waiting": 0}
FULL: dict[str, Any] = {"adapters": frozenset({"tax", "med"}), "adapters_most": 2, "waiting": 0}


def test_who_runs_it_goes_first() -> None:
    _, choosing = chooser(FULL, RUNS, ROOM, None)
    assert picked(choosing) == {1}


def test_an_adapter_in_demand_spreads_to_where_there_is_room() -> None:
    _, choosing = chooser(FULL, RUNS | {"waiting": 3}, ROOM, None)
    assert picked(choosing) == {1, 2, 3}


def test_what_was_sent_a_moment_ago_counts_as_demand() -> None:
    roster, choosing = chooser(FULL, RUNS, ROOM)
    roster.loads[1].began()
    assert picked(choosing) == {2}  # the fewest in flight of those that run it or have room


def test_nobody_is_left_out_when_all_would_have_to_swap() -> None:
    _, choosing = chooser(FULL, FULL)
    assert picked(choosing) == {0, 1}


def test_old_news_bars_nobody() -> None:
    _, choosing = chooser(FULL, RUNS)
    assert picked(choosing, now=60.0) == {0, 1}


def test_those_who_run_it_but_may_not_be_chosen_bar_nobody() -> None:
    roster = make_roster((1, 0), (1, 0), (1, 0), barred=[1])
    for load, one in zip(roster.loads, (FULL, RUNS, ROOM), strict=True):
        load.told(Signals(**one))
    assert picked(Chooser(RouteSpec(targets=[], adapter="law"), [roster])) == {2}


def test_it_is_said_who_does_not_run_it() -> None:
    _, choosing = chooser(FULL, RUNS)
    assert choosing.passed_over(0, NOTHING, 0.0) == {0: "does not run the adapter"}


def test_the_same_prompt_for_another_adapter_has_other_keys() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "word " * 99}]})
    ask = receive(PATHS[b"/v1/chat/completions"], [body.encode()], {})

    def of(adapter: str | None) -> Demand:
        spec = RouteSpec(targets=[], adapter=adapter)
        return make_demand(ask, spec, frozenset(("prefix", "blocks")), "acme")

    law, tax, base = of("law"), of("tax"), of(None)
    assert law.adapter == "law"
    assert len({law.prefix, tax.prefix, base.prefix}) == 3
    assert len({law.blocks, tax.blocks, base.blocks}) == 3
