"""The price book: what it says in money, and what happens where it says nothing.

`tests/corpus/prices/genai-prices-0.2.3.json` holds what that version answered; the costs in the
table are worked out by hand from the providers' own price pages as the package quotes them
(OpenAI developers.openai.com/api/docs/pricing, Anthropic anthropic.com/pricing, AWS
aws.amazon.com/bedrock/pricing, Google ai.google.dev/gemini-api/docs/pricing and Azure's pricing
page, all verified there between 2026-10-12 and 2026-11-09). A token at 1 USD/Mtok costs 1,000
nano-dollars.
"""

import json
import subprocess
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
import pytest

from towplane.parts.usage import Detail, Usage
from towplane.tenants.prices import Sheet, Step, cost_of, make_rates
from towplane.tenants.pricing import book as book_module
from towplane.tenants.pricing.book import NO_BOOK, OLD_AFTER_DAYS, PriceBook, open_book
from towplane.tenants.pricing.entries import PriceEntry, entry_at, merge, moment_of
from towplane.tenants.pricing.questions import Answer, BookEntry, Chapter, Question

RECORDED = Path(__file__).parent.parent / "corpus" / "prices" / "genai-prices-0.2.3.json"
TODAY = "2026-11-23"


def openai(model: str) -> Question:
    return Question("openai", "", model)


def anthropic(model: str) -> Question:
    return Question("anthropic", "", model)


def bedrock(model: str) -> Question:
    return Question("bedrock", "", model)


def vertex(model: str) -> Question:
    return Question("vertex", "", model)


def azure(model: str) -> Question:
    return Question("azure-openai", "", model)


class Priced(NamedTuple):
    """One answer and what it cost; None: unknown."""

    name: str
    question: Question
    usage: Usage
    nanousd: int | None
    day: str = TODAY


SONNET = anthropic("claude-sonnet-4-5-20250929")
US_SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
BATCH, PRIORITY = Detail(service="batch"), Detail(service="priority")
FLEX = Detail(service="flex")

TABLE = [
    # OpenAI: 2.00 in, 0.50 cached, 8.00 out.
    Priced("plain", openai("gpt-4.1"), Usage(1000, 200), 3_600_000),  # 2000 + 1600
    Priced("cached", openai("gpt-4.1"), Usage(1000, 200, 800), 2_400_000),  # 400 + 400 + 1600
    Priced("dated name", openai("gpt-4.1-2025-04-14"), Usage(1, 1), 10_000),  # 2 + 8
    Priced("small", openai("gpt-4o-mini"), Usage(1), 150),  # 0.15
    Priced("half cached", openai("gpt-4o"), Usage(10, 1, 4), 30_000),  # 15 + 5 + 10
    # gpt-5: 1.25, 0.125, 10.00; priority 2.50, 0.25, 20.00; flex and batch half; reasoning is out.
    Priced(
        "reasoning",
        openai("gpt-5"),
        Usage(500, 2000, 0, Detail(reasoning=1500)),
        20_625_000,  # 625 + 20000
    ),
    Priced("priority", openai("gpt-5"), Usage(1000, 100, 600, PRIORITY), 3_150_000),
    # 400 x 2.50 + 600 x 0.25 + 100 x 20.00
    Priced("flex", openai("gpt-5"), Usage(1000, 100, 600, FLEX), 787_500),  # 250 + 37.5 + 500
    Priced("batch", openai("gpt-5"), Usage(10**6, 10**5, 0, BATCH), 1_125_000_000),
    Priced(
        "a class before it was priced",
        openai("gpt-5"),
        Usage(1000, 100, 600, PRIORITY),
        None,
        "2026-10-11",
    ),
    Priced("batch, cached at full", openai("gpt-4o"), Usage(1000, 100, 400, BATCH), 1_750_000),
    # the batch table has no cached price: 600 x 1.25 + 400 x 1.25 + 100 x 5.00
    Priced("before a cut", openai("o3"), Usage(100, 10), 1_400_000, "2025-06-09"),  # 10 and 40
    Priced("after the cut", openai("o3"), Usage(100, 10), 280_000, "2025-06-10"),  # 2 and 8
    # gpt-5.4: 2.50, 0.25, 15.00; above 272,000 of input 5.00, 0.50, 22.50.
    Priced("at the step", openai("gpt-5.4"), Usage(272_000, 1000), 695_000_000),
    Priced("over it", openai("gpt-5.4"), Usage(272_001, 1000, 72_001), 1_058_500_500),
    # 200,000 x 5.00 + 72,001 x 0.50 + 1,000 x 22.50
    Priced(
        "audio",  # 2.50, audio 32.00; 10.00, audio 64.00
        openai("gpt-audio"),
        Usage(1000, 500, 0, Detail(audio_input=900, audio_output=400)),
        55_650_000,  # 250 + 28800 + 1000 + 25600
    ),
    Priced("audio nobody priced", openai("gpt-4o"), Usage(9, 0, 0, Detail(audio_input=1)), None),
    Priced("searches", openai("gpt-4o"), Usage(100, 10, 0, Detail(searches=3)), 30_350_000),
    # 250 + 100 + 3 x 10,000 (10 USD a thousand)
    Priced("images in", openai("gpt-image-1"), Usage(100, 0, 0, Detail(image_input=60)), 800_000),
    # 40 x 5.00 + 60 x 10.00
    Priced("embedding", openai("text-embedding-3-small"), Usage(1000), 20_000),
    Priced("output of an embedding", openai("text-embedding-3-small"), Usage(1000, 1), None),
    Priced(
        "cache writes",  # gpt-6-sol: 2.00, read 0.20, written 2.50, 10.00
        openai("gpt-6-sol"),
        Usage(5000, 100, 1000, Detail(cache_write=2000)),
        10_200_000,  # 4000 + 200 + 5000 + 1000
    ),
    Priced(
        "an hour's write nobody priced",
        openai("gpt-6-sol"),
        Usage(5000, 100, 0, Detail(cache_write_1h=1)),
        None,
    ),
    Priced("by the hour of audio", openai("whisper-1"), Usage(10), None),
    Priced("unknown model", openai("gpt-0-nonesuch"), Usage(10), None),
    # Anthropic: 3.00, written 3.75 and 6.00 (1 h), read 0.30, 15.00; input holds all of them.
    Priced("plain", SONNET, Usage(1000, 500), 10_500_000),
    Priced("5 min", SONNET, Usage(3000, 100, 0, Detail(cache_write=2000)), 12_000_000),
    # 1000 x 3.00 + 2000 x 3.75 + 100 x 15.00
    Priced("1 h", SONNET, Usage(3000, 100, 0, Detail(cache_write_1h=2000)), 16_500_000),
    Priced("read", SONNET, Usage(5100, 50, 5000), 2_550_000),  # 300 + 1500 + 750
    Priced(
        "both and read",
        SONNET,
        Usage(5510, 20, 4000, Detail(cache_write=1000, cache_write_1h=500)),
        8_280_000,  # 10 x 3 + 1000 x 3.75 + 500 x 6 + 4000 x 0.3 + 20 x 15
    ),
    Priced("long", SONNET, Usage(200_001, 100), 1_202_256_000),  # 6.00 and 22.50
    Priced("long by its cache", SONNET, Usage(200_500, 10, 200_000), 123_225_000),
    # 200,000 x 0.60 + 500 x 6.00 + 10 x 22.50
    Priced("thinking", SONNET, Usage(10, 800, 0, Detail(reasoning=700)), 12_030_000),
    Priced(
        "batch with writes",  # haiku 4.5, half of 1.00, 1.25, 5.00
        anthropic("claude-haiku-4-5"),
        Usage(1000, 100, 0, Detail(cache_write=400, service="batch")),
        800_000,  # 300 + 250 + 250
    ),
    Priced(
        "searches",  # opus 4.1: 15.00, 75.00
        anthropic("claude-opus-4-1-20250805"),
        Usage(100, 10, 0, Detail(searches=2)),
        22_250_000,  # 1500 + 750 + 2 x 10,000
    ),
    Priced("priority is a contract", SONNET, Usage(1, 1, 0, PRIORITY), None),
    Priced("while it had a step", anthropic("claude-opus-4-6"), Usage(250_000, 100), 2_503_750_000,
           "2026-03-12"),  # 10.00 and 37.50
    Priced("since it has none", anthropic("claude-opus-4-6"), Usage(250_000, 100), 1_252_500_000,
           "2026-03-13"),  # 5.00 and 25.00
    Priced("a step of a batch", anthropic("claude-haiku-5-5"), Usage(100_001, 0, 0, BATCH),
           25_000_250),  # 0.25
    # Bedrock: the profiles of a region cost a tenth more than the global ones.
    Priced("regional", bedrock(US_SONNET), Usage(1000, 100), 4_950_000),  # 3.30 and 16.50
    Priced("global", bedrock(f"global{US_SONNET[2:]}"), Usage(1000, 100), 4_500_000),
    Priced("base id", bedrock(US_SONNET[3:]), Usage(1000, 100), 4_950_000),
    Priced(
        "by its ARN",
        bedrock(f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{US_SONNET}"),
        Usage(1000, 100),
        4_950_000,
    ),
    Priced(
        "an hour's write",  # 3.30, read 0.33, written 6.60, 16.50
        bedrock(US_SONNET),
        Usage(3010, 10, 2000, Detail(cache_write_1h=1000)),
        7_458_000,  # 33 + 660 + 6600 + 165
    ),
    Priced("nova", bedrock("amazon.nova-lite-v1:0"), Usage(1000, 200, 500), 85_500),
    # 500 x 0.06 + 500 x 0.015 + 200 x 0.24
    Priced("llama", bedrock("us.meta.llama3-3-70b-instruct-v1:0"), Usage(100, 50), 108_000),
    Priced(
        "speech",  # 0.06, audio 3.40; audio out 13.60
        bedrock("amazon.nova-sonic-v1:0"),
        Usage(1000, 500, 0, Detail(audio_input=800, audio_output=500)),
        9_532_000,  # 12 + 2720 + 6800
    ),
    Priced("a tier that nobody priced", bedrock(US_SONNET), Usage(1, 1, 0, PRIORITY), None),
    # Gemini 2.5 Pro: 1.25, cached 0.125, 10.00; above 200,000 2.50, 0.25, 15.00; thoughts are out.
    Priced("thoughts", vertex("gemini-2.5-pro"), Usage(200_000, 1000, 0, Detail(reasoning=800)),
           260_000_000),
    Priced("over 200k", vertex("gemini-2.5-pro"), Usage(200_001, 1000), 515_002_500),
    Priced("over 200k, cached", vertex("gemini-2.5-pro"), Usage(250_000, 500, 100_000),
           407_500_000),  # 375,000 + 25,000 + 7,500
    Priced("batch over 200k", vertex("gemini-2.5-pro"), Usage(200_001, 100, 0, BATCH),
           250_751_250),  # 1.25 and 7.50
    Priced("grounding", vertex("gemini-2.5-pro"), Usage(100, 100, 0, Detail(searches=1)),
           36_125_000),  # 125 + 1000 + 35,000
    Priced("provisioned", vertex("gemini-2.5-pro"),
           Usage(10**6, 10**5, 0, Detail(service="provisioned")), 0),
    Priced("audio", vertex("gemini-2.5-flash"), Usage(1000, 100, 0, Detail(audio_input=600)),
           970_000),  # 400 x 0.30 + 600 x 1.00 + 100 x 2.50
    Priced("audio in a batch", vertex("gemini-2.5-flash"),
           Usage(100, 0, 0, Detail(audio_input=100, service="batch")), 50_000),
    Priced("prompt of tools", vertex("gemini-2.5-flash-lite"),
           Usage(500, 10, 0, Detail(tool_input=300)), 54_000),  # 50 + 4
    Priced("an image", vertex("gemini-2.5-flash-image"),
           Usage(100, 1290, 0, Detail(image_output=1290)), 38_730_000),  # 30 + 1290 x 30.00
    Priced("Claude on Vertex", vertex("claude-sonnet-4-5@20250929"),
           Usage(1000, 0, 0, Detail(cache_write=1000)), 3_750_000),
    Priced("embedding", vertex("gemini-embedding-001"), Usage(1000), 150_000),
    # Azure: deployments that are called as their model.
    Priced("cached", azure("o1"), Usage(100, 10, 40), 1_800_000),  # 900 + 300 + 600
    Priced("by OpenAI's table", azure("gpt-4.1"), Usage(100, 10), 280_000),
    Priced("not by OpenAI's classes", azure("gpt-4.1"), Usage(1, 1, 0, PRIORITY), None),
    Priced("a deployment of any name", azure("prod-chat"), Usage(1, 1), None),
    Priced("phi", azure("phi-4"), Usage(1000, 100), 175_000),  # 125 + 50
    # Other servers, by their endpoint.
    Priced(
        "groq",
        Question("openai-compatible", "https://api.groq.com/openai/v1", "llama-3.3-70b-versatile"),
        Usage(100, 100),
        138_000,  # 59 + 79
    ),
    Priced(
        "prices by the time of day",
        Question("openai-compatible", "https://api.deepseek.com/v1", "deepseek-chat"),
        Usage(1, 1),
        None,
    ),
    Priced(
        "a server of one's own",
        Question("openai-compatible", "https://llm.example.com/v1", "gpt-4o"),
        Usage(1, 1),
        None,
    ),
]  # fmt: skip


def recorded() -> Chapter:
    return msgspec.json.decode(RECORDED.read_bytes(), type=Chapter)


def as_book(chapter: Chapter, trouble: str = "") -> PriceBook:
    return PriceBook(
        chapter.answers, package=chapter.package, newest=chapter.newest, trouble=trouble
    )


BOOK = as_book(recorded())


def price(question: Question, usage: Usage, day: str) -> int | None:
    entry = entry_at(BOOK.find(question).entries, moment_of(day))
    return None if entry is None or entry.sheet is None else cost_of(entry.sheet, usage)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: f"{case.question.kind}: {case.name}")
def test_an_answer_costs_what_its_provider_asks(case: Priced) -> None:
    assert price(case.question, case.usage, case.day) == case.nanousd


def test_the_table_asks_about_every_kind_and_everything_recorded() -> None:
    assert len(TABLE) >= 60
    asked = {case.question for case in TABLE}
    assert asked == {answer.question for answer in recorded().answers}


@pytest.mark.skipif(
    f"genai-prices {metadata.version('genai-prices')}" != recorded().package,
    reason="another version of the package is installed than the one recorded",
)
def test_the_package_still_says_what_was_recorded(tmp_path: Path) -> None:
    questions = [answer.question for answer in recorded().answers]
    opened = open_book(tmp_path, questions)
    assert (opened.package, opened.newest, opened.trouble) == (BOOK.package, BOOK.newest, "")
    for question in questions:
        assert opened.find(question) == BOOK.find(question)


# What the package could say wrongly.


class Tier(NamedTuple):
    start: int
    price: Decimal


class Tiered(NamedTuple):
    base: Decimal
    tiers: list[Tier]


@pytest.mark.parametrize(
    ("prices", "why"),
    [
        ({"input_mtok": Decimal("NaN")}, "malformed"),
        ({"input_mtok": Decimal("Infinity")}, "malformed"),
        ({"input_mtok": Decimal("-1")}, "malformed"),
        ({"input_mtok": 2.5}, "malformed"),
        ({"input_mtok": "2.5"}, "malformed"),
        ({"input_mtok": Decimal("0.0000000001")}, "no whole number"),
        ({"input_mtok": Decimal(10**9)}, "no whole number"),
        ({"input_mtok": Tiered(Decimal(1), [Tier(5, Decimal(-2))])}, "malformed"),
        ({"input_mtok": Decimal(0), "output_mtok": Decimal(0)}, "says 0"),
        ({"input_mtok": Decimal(1), "requests_kcount": Decimal(5)}, "requests_kcount"),
    ],
)
def test_a_price_that_cannot_be_true_is_unknown_and_says_why(
    prices: dict[str, Any], why: str
) -> None:
    from towplane.tenants.pricing.genai import Unclear, read_steps

    said: Any = SimpleNamespace(**prices)
    with pytest.raises(Unclear, match=why):
        read_steps(said, has_all=False)


# The book itself.


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> list[list[Question]]:
    """What the package was asked, instead of a process that knows it."""
    asked: list[list[Question]] = []

    def answer(questions: list[Question]) -> tuple[Chapter, str]:
        asked.append(questions)
        return Chapter("genai-prices 1", "2026-11-09", [_answer(q) for q in questions]), ""

    monkeypatch.setattr(book_module, "_ask", answer)
    monkeypatch.setattr(book_module, "_installed", lambda: "genai-prices 1")
    return asked


def _answer(question: Question) -> Answer:
    sheet = Sheet({"standard": (Step(-1, make_rates(1, 2)),)})
    return Answer(question, question.model, [BookEntry("2026-01-01", sheet, "a page")])


def test_who_asks_nothing_needs_no_book(tmp_path: Path, asks: list[list[Question]]) -> None:
    assert open_book(tmp_path, []) is NO_BOOK
    assert NO_BOOK.complaint(TODAY) == ""
    assert list(tmp_path.iterdir()) == []
    assert asks == []


def test_the_package_is_asked_once_about_each_model(
    tmp_path: Path, asks: list[list[Question]]
) -> None:
    a, b = openai("a"), openai("b")
    for questions in ([a], [a], [a, b], [b], [a, a]):
        assert open_book(tmp_path, questions).find(questions[0]).name == questions[0].model
    assert asks == [[a], [a, b]]


def test_another_version_is_asked_again(
    tmp_path: Path, asks: list[list[Question]], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_book(tmp_path, [openai("a")])
    monkeypatch.setattr(book_module, "_installed", lambda: "genai-prices 2")
    open_book(tmp_path, [openai("a")])
    assert len(asks) == 2


def test_a_missing_package_is_a_complaint_and_no_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book_module, "_installed", lambda: None)
    found = open_book(tmp_path, [openai("gpt-5")])
    assert found.find(openai("gpt-5")).entries == ()
    assert "towplane[prices]" in found.complaint(TODAY)


def test_what_is_kept_serves_on_when_the_package_is_gone(
    tmp_path: Path, asks: list[list[Question]], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_book(tmp_path, [openai("a")])
    monkeypatch.setattr(book_module, "_installed", lambda: None)
    found = open_book(tmp_path, [openai("a")])
    assert len(found.find(openai("a")).entries) == 1
    assert "not installed" in found.complaint(TODAY)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"package": 5}', b"\xff\xfe", b"[]"])
def test_a_damaged_file_is_asked_for_anew(
    tmp_path: Path, asks: list[list[Question]], damage: bytes
) -> None:
    (tmp_path / "price-book.json").write_bytes(damage)
    found = open_book(tmp_path, [openai("a")])
    assert found.find(openai("a")).name == "a"
    assert found.complaint(TODAY) == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (subprocess.CalledProcessError(1, "x", stderr=b"Traceback\nValueError: bad"), "bad"),
        (subprocess.CalledProcessError(1, "x", stderr=b""), "it said nothing"),
        (subprocess.TimeoutExpired("x", 30), "did not answer"),
        (OSError("no such file"), "cannot be read"),
    ],
)
def test_a_book_that_fails_makes_prices_unknown_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    found = open_book(tmp_path, [openai("gpt-5")])
    assert found.find(openai("gpt-5")).entries == ()
    assert said in found.complaint(TODAY)
    assert not (tmp_path / "price-book.json").exists()


def test_an_answer_that_is_no_chapter_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: subprocess.CompletedProcess[bytes] = subprocess.CompletedProcess("x", 0, b'{"answers": 0')
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: done)
    found = open_book(tmp_path, [openai("gpt-5")])
    assert "cannot be read" in found.complaint(TODAY)


def test_an_old_book_is_a_complaint() -> None:
    dated = as_book(recorded())
    assert dated.age_days("2026-11-19") == 10
    assert dated.complaint("2026-11-19") == ""
    assert OLD_AFTER_DAYS == 60
    assert "newer than 2026-11-09" in dated.complaint("2027-01-09")
    assert dated.complaint("2026-11-01") == ""


def test_what_is_wrong_comes_before_what_is_old() -> None:
    assert as_book(recorded(), "broken").complaint("2030-01-01") == "broken"


# Entries in time.


def entry(day: str, *, origin: Any = "book", known: bool = True) -> PriceEntry:
    sheet = Sheet({}) if known else None
    return PriceEntry(moment_of(day), sheet, origin, day)


def test_the_document_speaks_from_its_first_entry_on() -> None:
    theirs = [entry("2026-10-01"), entry("2026-01-01"), entry("2026-06-01")]
    ours = [entry("2026-07-01", origin="document"), entry("2026-05-01", origin="document")]
    merged = merge(ours, theirs)
    assert [(one.source, one.origin) for one in merged] == [
        ("2026-01-01", "book"),
        ("2026-05-01", "document"),
        ("2026-07-01", "document"),
    ]
    assert [one.source for one in merge([], theirs)] == ["2026-01-01", "2026-06-01", "2026-10-01"]


def test_an_entry_holds_from_its_midnight_until_the_next() -> None:
    entries = merge([entry("2026-06-01"), entry("2026-01-01")], [])
    noon = 43_200.0
    for moment, want in (
        (moment_of("2026-01-01") - 1, None),
        (moment_of("2026-01-01"), "2026-01-01"),
        (moment_of("2026-05-31") + noon, "2026-01-01"),
        (moment_of("2026-06-01"), "2026-06-01"),
        (moment_of("2031-01-01"), "2026-06-01"),
    ):
        found = entry_at(entries, moment)
        assert (None if found is None else found.source) == want


def test_nothing_in_the_recorded_chapter_is_free() -> None:
    said = json.loads(RECORDED.read_bytes())
    assert said["answers"]
    for answer in recorded().answers:
        for one in answer.entries:
            for steps in one.sheet.classes.values() if one.sheet is not None else ():
                assert all(step.rates.input for step in steps)
