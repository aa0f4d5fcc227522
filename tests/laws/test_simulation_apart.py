"""Laws of engines that compute prompts in steps of their own, and of conversations' lengths."""

from dataclasses import replace

import pytest

from towplane.simulation.agenda import Agenda
from towplane.simulation.arrival import Arrival
from towplane.simulation.engine import Engine
from towplane.simulation.figures import FIGURES
from towplane.simulation.work import Work
from towplane.simulation.workloads import Conversations, Lengths, conversation

FIGURES_OF = replace(
    FIGURES["llama-3.1-8b@l4"],
    step_s=0.03, seq_s=0.0, kv_s=0.0, token_s=1e-4, attend_s=0.0, overhead_s=0.0,
)  # fmt: skip


class _Heard:
    def __init__(self) -> None:
        self.first: list[float] = []
        self.done: list[float] = []

    def began(self, work: Work, now: float) -> None:
        self.first.append(now)

    def answered(self, work: Work, now: float) -> None:
        self.done.append(now)

    def failed(self, work: Work, now: float, trouble: str, after_s: float | None) -> None:
        raise AssertionError(trouble)


def _run(tokens: list[int], *, apart: bool) -> _Heard:
    agenda, heard = Agenda(), _Heard()
    engine = Engine(replace(FIGURES_OF, apart=apart), agenda, heard)
    for number, one in enumerate(tokens):
        engine.offer(Work(Arrival(0.0, one, 5), number, None, 0.0), 0.0)
        agenda.run(iter(()), lambda now, what: None, 0.0)
    agenda.run(iter(()), lambda now, what: None, 60.0)
    return heard


@pytest.mark.parametrize(("tokens", "takes_s"), [(100, 0.03), (1000, 0.1)])
def test_a_prompt_alone_takes_a_step_or_its_tokens_whatever_is_longer(
    tokens: int, takes_s: float
) -> None:
    heard = _run([tokens], apart=True)
    assert heard.first == [pytest.approx(takes_s)]
    assert heard.done == [pytest.approx(takes_s + 4 * 0.03)]


def test_nobody_decodes_while_a_prompt_is_computed_apart() -> None:
    # The second prompt (0.1 s) comes while the first is computed, and is computed right after it.
    apart, shared = _run([100, 1000], apart=True), _run([100, 1000], apart=False)
    assert apart.done == [pytest.approx(0.03 + 0.1 + 4 * 0.03)] * 2
    assert len(shared.done) == 2


def test_conversations_have_their_least_turns_and_their_mean() -> None:
    shape = Conversations(7.4, Lengths(40), Lengths(40), Lengths(40), most=10**6, least=5)
    turns: dict[int, int] = {}
    for arrival, _ in zip(conversation(1, shape, 1), range(40_000), strict=False):
        turns[arrival.session] = turns.get(arrival.session, 0) + 1
    lengths = list(turns.values())[:-1]
    assert min(lengths) == 5
    assert sum(lengths) / len(lengths) == pytest.approx(7.4, rel=0.03)
