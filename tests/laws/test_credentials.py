"""Credentials in the plane process: when they are renewed, what is used meanwhile, what shows."""

import asyncio
import gc
import logging
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.clock import Clock
from towplane.parts.errors import Unsupported
from towplane.parts.extras import load_extra
from towplane.providers.adapter import Credential
from towplane.providers.credentials import Issued, Refresher, Source, open_credentials
from towplane.providers.credentials.refresher import Holding
from towplane.providers.credentials.schedule import next_refresh, next_try
from towplane.providers.credentials.source import NotIssued, Via, clean
from towplane.providers.spec import (
    AnthropicSpec,
    AzureCredential,
    AzureOpenAISpec,
    BedrockCredential,
    BedrockSpec,
    Egress,
    KeyCredential,
    OpenAISpec,
    ProviderSpec,
    VertexCredential,
    VertexSpec,
)

ROLE = "arn:aws:iam::123456789012:role/x"
times = st.floats(0, 1e9)


# When


@pytest.mark.parametrize(
    ("life", "after"),
    [
        (86_400, 69_120),  # 80 %
        (3600, 2880),
        (900, 600),  # 5 minutes before
        (500, 250),  # half: 5 minutes before would be too early
        (60, 30),
        (4, 5),  # never in a hurry
        (0, 5),
        (-100, 5),
    ],
)
def test_a_credential_is_renewed_before_it_ends(life: float, after: float) -> None:
    assert next_refresh(1000 + life, 1000) == 1000 + after


@given(now=times, life=st.floats(10, 1e6))
def test_it_is_renewed_in_the_second_half_of_its_life(now: float, life: float) -> None:
    at = next_refresh(now + life, now)
    assert now + life / 2 - 1e-3 <= at < now + life


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_a_failure_is_retried_with_full_jitter_and_within_a_minute(
    failures: int, chance: float
) -> None:
    wait = next_try(failures, 0.0, chance)
    assert 1.0 <= wait <= 60.0
    assert next_try(failures, 0.0, 1.0) <= 2.0 * 2 ** min(failures, 10)


# What is used


class Script:
    """A source whose answers are given beforehand, and a clock."""

    def __init__(self, *answers: Issued | Exception, instant: bool = False) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.now = 1000.0
        self.source = Source(
            name="p#1",
            how="a script",
            issue=self.issue,
            sample=Issued(),
            made_of=(id(self),),
            references=frozenset({"file:key"}),
            is_instant=instant,
        )

    def issue(self) -> Issued:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def token(word: str, ends_at: float | None = None) -> Issued:
    return Issued((("authorization", f"Bearer {word}"),), expires_at=ends_at)


def test_what_there_is_goes_on_until_it_really_ends() -> None:
    one = Holding(Script(token("a")).source)
    assert one.credential(1000.0).trouble == "not asked for yet"
    one.obtained(token("a", 4600.0), 1000.0)
    assert one.due_at == 1000 + 2880
    one.failed("the issuer is down", 3880.0, 0.5)
    assert one.credential(4599.0).headers == (("authorization", "Bearer a"),)
    assert one.state(4599.0).trouble == "the issuer is down"
    assert one.wakes_at(3880.0) < 4600
    assert one.credential(4600.0).headers == ()
    assert "the issuer is down" in one.credential(4600.0).trouble
    assert one.state(4600.0).state == "missing"
    one.obtained(token("b", 9000.0), 4700.0)
    assert one.credential(4700.0) == Credential("p#1", (("authorization", "Bearer b"),))


def test_a_key_is_never_renewed_by_itself() -> None:
    one = Holding(Script(token("a")).source)
    one.obtained(token("a"), 1000.0)
    assert one.wakes_at(1000.0) == float("inf")
    assert one.state(1000.0).refresh_at is None


def run(script: Script, story: Callable[[Refresher, list[int]], Any]) -> list[int]:
    """A refresher in virtual time; counts how often it told of a change."""

    class Still(Clock):
        def wall(self) -> float:
            return script.now

    async def inline(issue: Callable[[], Issued]) -> Issued:
        return issue()

    async def play() -> list[int]:
        told: list[int] = []
        refresher = Refresher(lambda: told.append(1), Still(), run=inline, chance=lambda: 1.0)
        refresher.hold({"p": [script.source]})
        await refresher.obtain(1.0)
        refresher.credentials()
        task = asyncio.create_task(refresher.run())
        await turn()
        await story(refresher, told)
        task.cancel()
        return told

    return asyncio.run(play())


async def turn() -> None:
    """Let everything happen that can happen now."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_workers_are_told_of_a_new_one_once() -> None:
    script = Script(token("a", 4600.0), token("b", 9000.0))

    async def story(refresher: Refresher, told: list[int]) -> None:
        assert told == []
        script.now = 3880.0
        refresher.refused(())  # wakes it
        await turn()
        assert told == [1]
        assert refresher.credentials()["p"][0].headers[0][1] == "Bearer b"
        refresher.refused(())
        await turn()
        assert told == [1]

    run(script, story)
    assert script.asked == 2


def test_a_failure_is_said_once_and_what_returns_too(caplog: pytest.LogCaptureFixture) -> None:
    down = NotIssued("the issuer is down")
    script = Script(down, down, down, token("a", 9000.0))

    async def story(refresher: Refresher, told: list[int]) -> None:
        for _ in range(3):
            script.now += 61.0
            refresher.refused(())
            await turn()
        assert told == [1]
        assert refresher.states("p")[0].state == "ready"

    with caplog.at_level(logging.WARNING):
        run(script, story)
    assert [record.getMessage() for record in caplog.records] == [
        "the credential p#1 cannot be got: the issuer is down",
        "the credential p#1 is there again",
    ]


def test_a_package_that_fails_in_its_own_way_does_not_end_the_refreshing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And what it says is not repeated: nobody knows what is in it."""

    async def play() -> None:
        script = Script(RuntimeError("a secret in a text"), token("a"))
        refresher = Refresher(lambda: None, Clock())
        refresher.hold({"p": [script.source]})
        await refresher.obtain(20.0)
        assert refresher.states("p")[0].trouble == "its package failed with RuntimeError"

    asyncio.run(play())
    assert "a secret" not in caplog.text


def test_what_a_package_leaves_behind_is_cleared_away() -> None:
    """SDKs leave rings of objects, and the plane process looks for rings very rarely."""

    class Ring:
        def __init__(self) -> None:
            self.me = self

    left: list[weakref.ref[Ring]] = []

    def issue() -> Issued:
        left.append(weakref.ref(Ring()))
        return Issued(headers=(("authorization", "Bearer t"),))

    source = Source(
        name="p#1", how="", issue=issue, sample=Issued(), made_of=(), references=frozenset()
    )

    async def play() -> None:
        refresher = Refresher(lambda: None, Clock())
        refresher.hold({"p": [source]})
        await refresher.obtain(20.0)
        assert refresher.states("p")[0].state == "ready"

    thresholds = gc.get_threshold()
    gc.set_threshold(0)  # nobody looks for them otherwise
    try:
        asyncio.run(play())
    finally:
        gc.set_threshold(*thresholds)
    assert [one() for one in left] == [None]


def test_a_rotated_secret_is_in_use_at_once() -> None:
    script = Script(token("old"), token("new"), instant=True)

    async def story(refresher: Refresher, told: list[int]) -> None:
        refresher.secrets_changed({"file:other"})
        await turn()
        assert told == []
        refresher.secrets_changed({"file:key"})
        await turn()
        assert told == [1]
        assert refresher.credentials()["p"][0].headers[0][1] == "Bearer new"

    run(script, story)


def test_a_refused_token_is_renewed_but_not_in_a_circle() -> None:
    script = Script(token("a", 9000.0), token("b", 9000.0), token("c", 9000.0))

    async def story(refresher: Refresher, told: list[int]) -> None:
        refresher.refused({"p#1"})
        await turn()
        assert script.asked == 1  # it is new
        script.now += 31.0
        refresher.refused({"p#1"})
        await turn()
        refresher.refused({"p#1"})
        await turn()
        assert script.asked == 2
        assert told == [1]

    run(script, story)


def test_a_new_document_keeps_what_is_made_of_the_same() -> None:
    script = Script(token("a", 9000.0))

    async def story(refresher: Refresher, told: list[int]) -> None:
        refresher.hold({"p": [script.source], "q": []})
        await turn()
        assert script.asked == 1
        assert refresher.credentials().keys() == {"p"}  # an empty pool asks for none

    run(script, story)


# What is sent


SECRETS = {f"env:{name}": f"secret-{name.lower()}" for name in ("A", "B", "C", "PROXY")}


def headers_of(spec: ProviderSpec) -> list[Issued]:
    return [one.issue() for one in open_credentials("p", spec, SECRETS.__getitem__)]


def test_every_kind_of_key_is_sent_as_its_provider_wants_it() -> None:
    keys = [KeyCredential(api_key="env:A"), KeyCredential(api_key="env:B")]
    azure = "https://a.openai.azure.com"
    assert headers_of(OpenAISpec(credentials=keys)) == [
        Issued((("authorization", "Bearer secret-a"),)),
        Issued((("authorization", "Bearer secret-b"),)),
    ]
    assert headers_of(AnthropicSpec(credentials=keys[:1])) == [Issued((("x-api-key", "secret-a"),))]
    assert headers_of(
        AzureOpenAISpec(endpoint=azure, credentials=[AzureCredential(api_key="env:A")])
    ) == [Issued((("api-key", "secret-a"),))]
    assert headers_of(
        BedrockSpec(region="us-east-1", credentials=[BedrockCredential(bearer="env:A")])
    ) == [Issued((("authorization", "Bearer secret-a"),))]
    assert headers_of(VertexSpec(credentials=[VertexCredential(api_key="env:A")])) == [
        Issued((("x-goog-api-key", "secret-a"),))
    ]
    static = BedrockCredential(access_key="env:A", secret_key="env:B", session_token="env:C")
    assert headers_of(BedrockSpec(region="us-east-1", credentials=[static])) == [
        Issued(aws=("secret-a", "secret-b", "secret-c"))
    ]


ALL: list[ProviderSpec] = [
    OpenAISpec(credentials=[KeyCredential(api_key="env:A")]),
    AzureOpenAISpec(
        endpoint="https://a.openai.azure.com",
        credentials=[
            AzureCredential(api_key="env:A"),
            AzureCredential(tenant_id="t", client_id="c", client_secret="env:A"),
            AzureCredential(managed_identity=True),
            AzureCredential(tenant_id="t", client_id="c", certificate="c.pem"),
        ],
        egress=Egress(proxy="http://proxy:3128", proxy_authorization="env:PROXY"),
    ),
    BedrockSpec(
        region="us-east-1",
        credentials=[
            BedrockCredential(access_key="env:A", secret_key="env:B"),
            BedrockCredential(access_key="env:A", secret_key="env:B", role=ROLE),
            BedrockCredential(profile="dev"),
            BedrockCredential(instance=True, role=ROLE, external_id="env:C"),
            BedrockCredential(web_identity="token", role=ROLE),
            BedrockCredential(bearer="env:A"),
        ],
    ),
    VertexSpec(
        project="p",
        credentials=[
            VertexCredential(service_account="env:A"),
            VertexCredential(federation="f.json"),
            VertexCredential(application_default=True),
            VertexCredential(api_key="env:A"),
        ],
    ),
]


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: type(spec).__name__)
def test_nothing_of_a_source_shows_a_secret(spec: ProviderSpec) -> None:
    """Not its words, not its sample, not its repr, nor the state that is made of it."""
    for number, source in enumerate(open_credentials("p", spec, SECRETS.__getitem__), start=1):
        assert source.name == f"p#{number}"
        assert source.how
        shown = f"{source!r} {source.how} {source.sample.headers} {source.sample.aws}"
        one = Holding(source)
        if source.is_instant:
            one.obtained(source.issue(), 0.0)
        shown += f"{one!r} {one.issued!r} {one.state(0.0)!r} {one.credential(0.0)!r}"
        assert "secret-" not in shown.replace("secret-key", "")
        assert source.sample.headers or source.sample.aws


def test_a_workers_credential_shows_only_its_name() -> None:
    one = Credential("p#1", (("authorization", "Bearer secret"),), ("a", "secret", "c"))
    for shown in (repr(one), str(one), f"{(one,)}", repr({"p": (one,)})):
        assert "secret" not in shown
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Credential) == one


def test_what_a_package_says_is_cleaned_of_secrets() -> None:
    assert clean("bad key s3cret\n  of  s3cret-2", "s3cret", "", "s3cret-2") == "bad key … of …"
    assert len(clean("x" * 1000)) == 200


def test_a_proxys_word_is_put_into_its_url_only_when_it_is_used() -> None:
    via = Via("http://proxy:3128", "env:W")
    assert "p@ss" not in repr(via)
    wanted = "http://user:p%40ss@proxy:3128"
    assert via.proxies(lambda _: "user:p@ss") == {"http": wanted, "https": wanted}
    assert Via().proxies(lambda _: "") is None


# What is loaded


@pytest.mark.parametrize(
    ("module", "extra", "package"),
    [
        ("botocore_not_there.session", "bedrock", "botocore_not_there"),
        ("azure.not_there", "azure", "azure-identity"),
        ("google.not_there", "vertex", "google-auth"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    module: str, extra: str, package: str
) -> None:
    with pytest.raises(Unsupported, match=f"the package {package} is not installed") as caught:
        load_extra(module, extra)
    assert caught.value.next_step == f"pip install 'towplane[{extra}]'"


def test_no_cloud_package_is_loaded_before_it_is_needed() -> None:
    """Neither by the plane process as it starts nor by a worker, which never loads any; and a
    worker does not load what gets credentials."""
    plane = "import towplane.cli.plane"
    worker = "import towplane.gateway.worker"
    for line, banned in (
        (plane, ("botocore", "azure", "google.auth", "requests")),
        (worker, ("botocore", "azure", "google", "requests", "towplane.providers.credentials")),
    ):
        code = f"{line}; import sys; print([n for n in sys.modules if n.startswith({banned!r})])"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"
