"""The simulator as a whole: the same each time, nothing lost, the same requests for all."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from towplane.document.problems import DocumentError
from towplane.parts.errors import BadRequest
from towplane.routing.policies import POLICIES
from towplane.simulation.arrival import Arrival
from towplane.simulation.calibration import Sample, fit_figures
from towplane.simulation.figures import FIGURES
from towplane.simulation.histogram import Histogram
from towplane.simulation.pictures import page
from towplane.simulation.report import Report, jain, spread
from towplane.simulation.run import compare, simulate
from towplane.simulation.scenario import Scenario, read_scenario
from towplane.simulation.traces import read_trace
from towplane.simulation.workloads import Conversations, conversation

SCENARIO = """
for: 60s
drain: 60s
route:
  choose: least-in-flight
  targets: [{engine: h100}]
  slo: {ttft: 1s}
engines:
  h100: {figures: llama-3.1-8b@h100, replicas: 4}
arrivals:
  poisson:
    rate: 20/s
    prompt: {mean: 500}
    answer: {mean: 60, most: 512}
    tenants: [3, 1]
    prefixes: {count: 20, tokens: 1024}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    return read(tmp_path, SCENARIO)


def read(folder: Path, text: str) -> Scenario:
    path = folder / "scenario.yaml"
    path.write_text(text)
    return read_scenario(path)


def same(report: Report) -> Report:
    return msgspec.structs.replace(report, wall_s=None)


@pytest.mark.parametrize("policy", ["round-robin", "least-in-flight", "weighted"])
def test_the_same_seed_gives_the_same_report(scenario: Scenario, policy: str) -> None:
    one, two = (same(simulate(scenario, policy=policy, seed=7)) for _ in range(2))
    assert one == two
    assert one != same(simulate(scenario, policy=policy, seed=8))


def test_every_policy_gets_the_same_requests_and_loses_none(scenario: Scenario) -> None:
    short = msgspec.structs.replace(scenario, seconds=20.0)
    names = [name for name in POLICIES if name not in ("complexity", "least-cost", "scored")]
    reports = compare(short, names, [3])
    assert len({(one.asks, one.input, one.answers) for one in reports}) == 1
    for one in reports:
        ended = one.answers + one.failed + one.refused + one.gave_up + one.open
        assert one.asks == ended
        assert one.attempts == sum(target.attempts for target in one.targets)
        assert one.answers == sum(target.answers for target in one.targets)


FAULTY = (
    SCENARIO
    + """
clients: {patience: 8s, retries: 3, first: 100ms}
faults:
  - {at: 5s, target: h100/0, what: kill, for: 10s}
  - {at: 10s, target: h100/1, what: hang, for: 20s}
  - {at: 20s, target: h100/2, what: slow, times: 5, for: 10s}
"""
)


def test_whatever_goes_wrong_every_ask_ends_once(tmp_path: Path) -> None:
    report = simulate(read(tmp_path, FAULTY))
    ended = report.answers + report.failed + report.refused + report.gave_up + report.open
    assert report.asks == ended
    assert report.open == 0
    assert report.troubles["unavailable"] > 0
    assert report.answers > 0.9 * report.asks
    assert sum(report.causes.values()) == report.attempts


def test_a_replica_that_crashed_gets_nothing_until_it_is_back(tmp_path: Path) -> None:
    text = SCENARIO + "faults: [{at: 5s, target: h100/0, what: kill}]\n"
    report = simulate(read(tmp_path, text))
    dead, *others = report.targets
    assert dead.answers < 0.2 * min(other.answers for other in others)


def test_a_retry_budget_bounds_what_a_storm_costs(tmp_path: Path) -> None:
    """Retries ≤ share × requests + floor × time, whatever the clients do."""
    text = """
for: 60s
route:
  targets: [{engine: h100}]
  retries: {share: 10%, floor: 1/s}
  breaker: {failures: 100000, share: 100%}
engines:
  h100: {figures: llama-3.1-8b@h100, replicas: 2, sequences: 8, queued: 4}
arrivals:
  poisson: {rate: 30/s, prompt: {mean: 500}, answer: {mean: 100}}
clients: {retries: 4, first: 100ms}
"""
    report = simulate(read(tmp_path, text))
    assert report.retries_denied > 0
    assert report.causes["retry"] <= 0.1 * report.requests + 60 * 1 + 10


def test_a_managed_api_is_left_alone_for_as_long_as_it_says(tmp_path: Path) -> None:
    text = """
for: 120s
route:
  targets: [{provider: cloud, model: m}]
  fallback: [{provider: other, model: m}]
providers:
  cloud: {rpm: 300, ttft: 200ms}
  other: {ttft: 900ms}
arrivals:
  poisson: {rate: 10/s, prompt: {mean: 500}, answer: {mean: 50}}
"""
    report = simulate(read(tmp_path, text))
    cloud, other = report.targets
    assert report.answers > 0.99 * report.asks  # the rest is what the retry budget denied
    # 5/s of 10, and what ten seconds of them allow at the start.
    assert 0.8 * 600 <= cloud.answers <= 650
    assert other.answers == report.answers - cloud.answers
    assert report.troubles["rate_limited"] < 0.3 * report.asks


def test_a_conversation_is_the_same_whoever_answers_and_extends_its_prefix() -> None:
    def turns(user: int) -> list[Arrival]:
        talk = conversation(user, Conversations(turns=5, system=128), seed=1)
        return [next(talk) for _ in range(30)]

    assert turns(3) == turns(3) != turns(4)
    for before, after in zip(turns(3), turns(3)[1:], strict=False):
        if after.session == before.session:
            assert after.blocks[: len(before.grown)] == before.grown
            assert after.tokens > before.tokens + before.output
        assert len(after.blocks) * 64 <= after.tokens
    assert turns(3)[0].blocks[:2] == turns(4)[0].blocks[:2], "the system prompt is shared"


def test_users_wait_for_their_answers(tmp_path: Path) -> None:
    text = """
for: 60s
route: {targets: [{engine: l4}]}
engines: {l4: {figures: llama-3.1-8b@l4, replicas: 2}}
arrivals: {users: {count: 20, ramp: 1s}}
"""
    report = simulate(read(tmp_path, text))
    assert report.open <= 20
    assert report.answers > 20
    assert report.hit_rate is not None
    assert report.hit_rate > 0.1


def test_a_route_of_the_document_is_simulated_by_its_engines(tmp_path: Path) -> None:
    from towplane.document.load import parse_document

    document = b"""
plane: acme
engines:
  small: {engine: llama.cpp, weights: "file:/m.gguf", replicas: 3}
routing:
  chat: {targets: [{engine: small}]}
"""
    plane = parse_document(document).plane
    text = """
for: 10s
engines: {small: {figures: llama-3.1-8b@l4}}
arrivals: {poisson: {rate: 2/s}}
"""
    report = simulate(read(tmp_path, text), plane=plane)
    assert [target.name for target in report.targets] == ["small/0", "small/1", "small/2"]
    with pytest.raises(BadRequest, match="names no route"):
        simulate(read(tmp_path, text))


def test_a_scenario_says_all_that_is_wrong_and_where(tmp_path: Path) -> None:
    text = """for: 60s
route: {targets: [{engine: h200}]}
engines:
  h100: {figures: llama-3.1-8b@h10, replica: 4}
arrivals:
  poisson: {rate: fast}
  users: {count: 3}
"""
    with pytest.raises(DocumentError) as caught:
        read(tmp_path, text)
    said = str(caught.value)
    for words in ("scenario.yaml:4", "did you mean llama-3.1-8b@h100", "unknown key",
                  "did you mean replicas", "exactly one of poisson, users, trace",
                  "did you mean h100"):  # fmt: skip
        assert words in said


def test_a_fault_of_no_target_is_an_error(tmp_path: Path) -> None:
    text = SCENARIO + "faults: [{at: 5s, target: h200, what: kill}]\n"
    with pytest.raises(BadRequest, match="hits `h200`"):
        simulate(read(tmp_path, text))


def test_traces_of_three_forms_are_read(tmp_path: Path) -> None:
    azure = tmp_path / "a.csv"
    azure.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
        "2023-11-16 18:15:50.9951690,396,109\n"
    )
    first, second = read_trace(azure)
    assert (first.at, first.tokens, first.output) == (0.0, 374, 44)
    assert second.at == pytest.approx(4.314579, abs=1e-6)

    mooncake = tmp_path / "m.jsonl"
    rows = [
        {"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [0, 1, 2]},
        {"timestamp": 500, "input_length": 1600, "output_length": 7, "hash_ids": [0, 1, 3, 4]},
    ]
    mooncake.write_text("".join(json.dumps(row) + "\n" for row in rows))
    one, two = read_trace(mooncake, speed=2)
    assert (one.blocks, two.blocks, two.at) == ((0, 1), (0, 1, 3), 0.25)
    assert one.prefix == two.prefix != 0

    own = tmp_path / "o.jsonl"
    own.write_text('{"at": 3, "tokens": 10, "output": 2, "tenant": "a"}\n')
    assert list(read_trace(own)) == [Arrival(0.0, 10, 2, "a")]

    own.write_text('{"at": 3, "tokens": 10, "output": 2}\n{"at": 4}\n')
    with pytest.raises(BadRequest, match="line 2"):
        list(read_trace(own))


def test_arrivals_of_elsewhere_are_simulated(scenario: Scenario) -> None:
    def source() -> Iterator[Arrival]:
        return (Arrival(number / 10, 100, 10, "t") for number in range(100))

    report = simulate(scenario, source=source)
    assert (report.asks, report.answers) == (100, 100)


def test_quantiles_are_right_within_a_hundredth() -> None:
    histogram = Histogram()
    histogram.add([number / 1000 for number in range(1, 10_001)])
    assert histogram.mean() == pytest.approx(5.0005)
    for share in (0.5, 0.95, 0.99):
        assert histogram.quantile(share) == pytest.approx(10 * share, rel=0.011)
    assert Histogram().quantile(0.5) is None


def test_fairness_is_one_for_equals_and_a_share_for_a_monopoly() -> None:
    assert jain([2, 2, 2]) == 1
    assert jain([1, 0, 0, 0]) == 0.25
    assert jain([1]) is None
    found = spread([1.0, 2.0, 3.0])
    assert found is not None
    assert found == pytest.approx((2.0, 2.484), abs=1e-3)


def test_a_fit_finds_the_constants_that_made_the_samples() -> None:
    """Samples from the formula of `figures`; the fit needs no knowledge of them."""
    step_s, seq_s, token_s = 0.02, 0.001, 0.0005
    samples = [
        Sample(
            users, tokens, 100, step_s + seq_s + token_s * tokens,
            step_s + users * (seq_s + token_s * tokens / 100),
        )
        for users in (1, 2, 4, 8)
        for tokens in (200, 400)
    ]  # fmt: skip
    found = fit_figures(samples, FIGURES["llama-3.1-8b@l4"])
    assert found.step_s == pytest.approx(step_s, rel=0.05)
    assert found.token_s == pytest.approx(token_s, rel=0.05)
    assert found.seq_s == pytest.approx(seq_s, rel=0.25)
    with pytest.raises(ValueError, match="two concurrencies"):
        fit_figures(samples[:2], FIGURES["llama-3.1-8b@l4"])


def test_a_page_needs_nothing_else_and_names_every_policy(scenario: Scenario) -> None:
    short = msgspec.structs.replace(scenario, seconds=10.0)
    reports = compare(short, ["round-robin", "least-in-flight"], [1])
    text = page("a <b>", "about & more", reports)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in text
    assert "a &lt;b&gt;" in text
    assert "least-in-flight" in text
    assert text.count("<svg") >= 4


def test_the_command_compares_policies_and_writes_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from towplane.cli.main import run

    (tmp_path / "s.yaml").write_text(SCENARIO.replace("for: 60s", "for: 5s"))
    arguments = ["simulate", str(tmp_path / "s.yaml"), "--policy", "round-robin",
                 "--policy", "random", "--seeds", "2"]  # fmt: skip
    assert run([*arguments, "--page", str(tmp_path / "page.html")]) == 0
    shown = capsys.readouterr().out
    assert "round-robin" in shown
    assert "±" in shown
    assert "<svg" in (tmp_path / "page.html").read_text()
    assert run([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["policy"] for one in said["reports"]] == ["round-robin"] * 2 + ["random"] * 2
    assert run(["simulate", str(tmp_path / "s.yaml"), "--policy", "best"]) != 0
    assert run(["simulate", str(tmp_path / "s.yaml"), "--from-ledger"]) != 0


def test_the_ledger_is_replayed_and_not_written(tmp_path: Path) -> None:
    from towplane.parts.storage import Database
    from towplane.simulation.replay import replay
    from towplane.tenants.ledger.schema import open_schema

    path = tmp_path / "ledger.sqlite"
    database = Database(path)
    open_schema(database)
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO attempt_names (names, tenant, key, model, target, upstream_model, cause, "
            "outcome, usage, service, credential) VALUES "
            "(1, 't', 'k', 'chat', 'e/0', 'chat', 'first', 'ok', 'measured', '', '')"
        )
        for number, (final, tokens, cached, output) in enumerate(
            [(1, 500, 128, 20), (0, 500, 0, 0), (1, 600, None, 30), (1, 700, 0, None)]
        ):
            connection.exec_driver_sql(
                "INSERT INTO attempt_numbers (id, at_us, names, final, input, cached_input, output)"
                " VALUES (?, ?, 1, ?, ?, ?, ?)",
                (f"r{number}.1", 1_700_000_000_000_000 + number * 500_000, final, tokens, cached,
                 output),
            )  # fmt: skip
    database.close()
    first, second = replay(path, model="chat")
    assert (first.at, first.tokens, first.output, first.tenant) == (0.0, 500, 20, "t")
    assert len(first.blocks) == 2
    assert (second.at, second.tokens, second.blocks) == (1.0, 600, ())
    assert first.prefix == second.prefix != 0
    assert list(replay(path, model="chat", since="2024-01-01")) == []
