"""From measured answers of an engine back to its constants, and from written talks to a report."""

from dataclasses import replace

import msgspec
import pytest

from towplane.routing.spec import RouteSpec, TargetSpec
from towplane.simulation.agenda import Agenda, Dated
from towplane.simulation.arrival import Arrival
from towplane.simulation.calibration import Answer, fit_answers
from towplane.simulation.clients import Turn
from towplane.simulation.engine import Engine
from towplane.simulation.figures import FIGURES, EngineFigures
from towplane.simulation.run import simulate
from towplane.simulation.scenario import ArrivalsSpec, EngineModel, Scenario
from towplane.simulation.work import Work

MADE = replace(
    FIGURES["llama-3.1-8b@l4"], step_s=0.010, seq_s=0.004, kv_s=8e-6, token_s=0.005, attend_s=2e-6,
    overhead_s=0.006, sequences=4, apart=False,
)  # fmt: skip


def answer_of(figures: EngineFigures, begun: float, tokens: int, cached: int, gaps: int) -> Answer:
    """One that had the engine to itself, by the formulas."""
    fresh = tokens - cached
    first_s = figures.step_s + figures.overhead_s + figures.token_s * fresh
    at = [begun + first_s + figures.attend_s * fresh * (cached + fresh / 2)]
    for made in range(1, gaps + 1):
        held = figures.kv_s * (tokens + made)
        at.append(at[-1] + figures.step_s + figures.seq_s + held)
    return Answer(begun, tuple(at), tokens, cached)


class Ear:
    """Hears answers of the engine."""

    def __init__(self) -> None:
        self.done: list[Work] = []

    def began(self, work: Work, now: float) -> None: ...

    def answered(self, work: Work, now: float) -> None:
        self.done.append(work)

    def failed(self, work: Work, now: float, trouble: str, after_s: float | None) -> None:
        raise AssertionError(trouble)


def together(begun: float) -> list[Answer]:
    """Two of 40 tokens at the same moment, and their steps of two."""
    first = begun + 0.5
    at = [first]
    for made in range(1, 30):
        at.append(at[-1] + MADE.step_s + 2 * MADE.seq_s + MADE.kv_s * 2 * (40 + made))
    return [Answer(begun, tuple(at), 40), Answer(begun, tuple(at), 40)]


def test_a_fit_finds_the_constants_behind_measured_answers() -> None:
    answers = [
        answer_of(MADE, 100.0 * number, tokens, cached, 20)
        for number, (tokens, cached) in enumerate(
            ((30, 0), (60, 24), (120, 24), (250, 200), (400, 24), (700, 24))
        )
    ] + together(1000.0)
    found = fit_answers(answers, replace(MADE, step_s=1, seq_s=1, kv_s=1, token_s=1, attend_s=1))
    for name in ("step_s", "seq_s", "kv_s", "token_s", "attend_s", "overhead_s"):
        assert getattr(found, name) == pytest.approx(getattr(MADE, name), rel=0.02), name
    assert found.sequences == MADE.sequences


def test_a_fit_leaves_out_gaps_in_which_a_prompt_was_computed() -> None:
    """A prompt that comes between makes the gap of the other long; that says nothing of a step."""
    quiet = [answer_of(MADE, 100.0 * n, 30 + 50 * n, 0, 20) for n in range(6)] + together(1000.0)
    long = Answer(2000.0, (2000.2, 2000.22, 2003.0, 2003.02), 30)
    between = Answer(2000.21, (2003.0, 2003.02), 500)
    with_both = fit_answers([*quiet, long, between], MADE)
    assert with_both.step_s == pytest.approx(fit_answers(quiet, MADE).step_s, rel=0.25)


def test_without_two_sequences_at_a_time_nothing_is_fitted() -> None:
    with pytest.raises(ValueError, match="two different numbers"):
        fit_answers([answer_of(MADE, 10.0 * n, 20 + n, 0, 5) for n in range(5)], MADE)
    with pytest.raises(ValueError, match="four lengths"):
        fit_answers([*together(0.0), answer_of(MADE, 50.0, 20, 0, 5)], MADE)


def test_the_engine_of_the_fitted_figures_takes_as_long_as_the_formula() -> None:
    agenda, ear = Agenda(), Ear()
    engine = Engine(MADE, agenda, ear, 1)

    def arrive(now: float, dated: Dated) -> None:
        assert isinstance(dated, Arrival)
        engine.offer(Work(dated, None, None, now), now)

    agenda.run(iter([Arrival(0.0, 120, 1)]), arrive, 100.0)
    (work,) = ear.done
    assert work.first_at == pytest.approx(answer_of(MADE, 0.0, 120, 0, 0).at[0], rel=0.02)


def test_written_talks_are_held_as_written() -> None:
    """Each turn a pause after the answer before, and nothing after the last."""
    scenario = Scenario(
        route=RouteSpec(choose="least-in-flight", targets=[TargetSpec(engine="own")]),
        engines={"own": EngineModel(figures="llama-3.1-8b@h100", overhead_s=0.0)},
        arrivals=ArrivalsSpec(),
        seconds=60.0,
        block=1,
    )
    blocks = tuple(range(100))
    talk = [
        Turn(1.0, Arrival(0.0, 50, 10, blocks=blocks[:50], grown=blocks[:59])),
        Turn(2.0, Arrival(0.0, 80, 10, blocks=blocks[:80], grown=blocks[:89])),
    ]
    report = simulate(scenario, talks=[talk, talk[:1]])
    assert (report.asks, report.answers, report.output_per_s * 60) == (3, 3, 30)
    assert report.ended_s is not None
    assert 3.1 < report.ended_s < 3.6
    assert report.cached >= 59
    assert simulate(scenario, talks=[talk, talk[:1]]).ttft == report.ttft
    assert simulate(msgspec.structs.replace(scenario, seed=9), talks=[talk]).asks == 2
