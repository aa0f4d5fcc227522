"""Human units: a text means one value or is refused, and what is written back reads the same."""

import contextlib
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.addresses import is_loopback, split_address
from towplane.parts.spelling import SCHEMAS, format_value
from towplane.parts.units import EXPECTED, PARSERS, PATTERNS, UnitError


class Case(NamedTuple):
    unit: str
    given: str
    want: float | int | str


READ = [
    Case("name", "acme-1.eu_x", "acme-1.eu_x"),
    Case("model_name", "openai/gpt-4.1:fast", "openai/gpt-4.1:fast"),
    Case("duration", "250ms", 0.25),
    Case("duration", "1.5 s", 1.5),
    Case("duration", "10m", 600.0),
    Case("duration", "1h", 3600.0),
    Case("duration", "7d", 604800.0),
    Case("duration", "0s", 0.0),
    Case("duration", "0.1s", 0.1),
    Case("timeout", "100us", 0.0001),
    Case("size", "512 KiB", 524288),
    Case("size", "32MiB", 33554432),
    Case("size", "1 GB", 1_000_000_000),
    Case("size", "1.5 kB", 1500),
    Case("size", "4_096", 4096),
    Case("share", "20%", 0.2),
    Case("share", "99.9%", 0.999),
    Case("share", "0.2", 0.2),
    Case("share", "1", 1.0),
    Case("count", "400_000", 400_000),
    Case("count", "400k", 400_000),
    Case("count", "1.5M", 1_500_000),
    Case("count", "0", 0),
    Case("at_least_one", "1", 1),
    Case("number", "0.6", 0.6),
    Case("number", "400", 400.0),
    Case("rate", "3/s", 3.0),
    Case("rate", "600/m", 10.0),
    Case("rate", "1800 / h", 0.5),
    Case("money", "2000 USD", 2_000_000_000_000),
    Case("money", "0.15 USD", 150_000_000),
    Case("money", "0.000000001 USD", 1),
    Case("money", "2_000.10 USD", 2_000_100_000_000),
    Case("token_price", "0.15 USD/Mtok", 150_000_000),
    Case("token_price", "2 USD / Mtok", 2_000_000_000),
    Case("secret", "env:OPENAI_API_KEY", "env:OPENAI_API_KEY"),
    Case("secret", "file:/run/secrets/key", "file:/run/secrets/key"),
    Case("address", "127.0.0.1:8080", "127.0.0.1:8080"),
    Case("address", "[::1]:0", "[::1]:0"),
    Case("address", "gate-way.example:65535", "gate-way.example:65535"),
    Case("url", "https://api.openai.com/v1/", "https://api.openai.com/v1"),
    Case("url", "http://[::1]:8080", "http://[::1]:8080"),
    Case("path", "a b/ü.pem", "a b/ü.pem"),
    Case("weights", "package:llm-x/a.gguf", "package:llm-x/a.gguf"),
    Case("weights", "file:a.gguf", "file:a.gguf"),
    Case("date", "2026-02-28", "2026-02-28"),
]

REFUSED = {
    "name": ["", "a b", "-a", ".a", "a/b", "ä", "a" * 64, "a\n"],
    "model_name": ["", "a b", "/a", "a" * 128],
    "duration": ["", "2", "2 s ", "-1s", "1e3s", "1h30m", "s", "2S", "1,5s", "01s", "٣s", "40000d"],
    "timeout": ["0s", "0.0ms", "2"],
    "size": ["", "KiB", "1.5", "0.1 B", "1 kib", "1e9", "-1", "99999999 TiB"],
    "share": ["101%", "1.1", "20", "-5%", "%", "1e-1", ".5"],
    "count": ["", "1.5", "-1", "1e3", "0x10", "010", "1__0", "_1", "1_", "1 k",
              "1.0005k", "9" * 17],
    "at_least_one": ["0", "-1", "0k"],
    "number": ["-1", "1e3", "", "0.", "nan", "60%"],
    "rate": ["3", "3/d", "3/ss", "/s"],
    "money": ["", "20", "$20", "20 EUR", "1,000 USD", "0.0000000001 USD", "-1 USD", "1e10 USD"],
    "token_price": ["0.15 USD", "0.15", "0.15 USD/ktok", "0.0000000001 USD/Mtok"],
    "secret": ["", "sk-123", "env:", "env:1A", "env:A-B", "file:", "ENV:A", "env:A\n"],
    "address": ["", "8080", ":8080", "h:", "h:65536", "::1:80", "[::g]:1", "a b:1",
                "h:-1", "h:1\n"],
    "url": ["", "api.openai.com", "ftp://x", "https://", "https://u:p@x", "https://x?q=1", "//x",
            "https://x#f", "https://x:99999", "https://x:0", "https:// x", "https://[::g]/"],
    "path": ["", "a\x00b"],
    "weights": ["", "a.gguf", "package:", "package:x", "package:x/", "file:", "hf://a/b"],
    "date": ["", "2026-2-1", "2026-02-30", "2026-13-01", "26-01-01", "2026-01-01T00:00:00Z"],
}  # fmt: skip


@pytest.mark.parametrize("case", READ, ids=str)
def test_a_text_is_read_as_its_value(case: Case) -> None:
    value = PARSERS[case.unit](case.given)
    assert value == case.want
    assert type(value) is type(case.want)


@pytest.mark.parametrize(
    ("unit", "text"), [(unit, text) for unit, texts in REFUSED.items() for text in texts]
)
def test_what_is_not_the_unit_is_refused_with_what_was_expected(unit: str, text: str) -> None:
    with pytest.raises(UnitError) as caught:
        PARSERS[unit](text)
    assert caught.value.expected == EXPECTED[unit]


def test_every_unit_is_known_everywhere() -> None:
    assert PARSERS.keys() == EXPECTED.keys() == SCHEMAS.keys()
    assert PATTERNS.keys() <= PARSERS.keys()
    assert REFUSED.keys() == PARSERS.keys() == {case.unit for case in READ}


def test_a_refusal_never_repeats_what_could_be_a_secret() -> None:
    with pytest.raises(UnitError) as caught:
        PARSERS["secret"]("sk-proj-abcdef")
    assert "abcdef" not in str(caught.value)
    assert "env:NAME" in str(caught.value)


def test_a_share_above_one_is_asked_back_as_a_percentage() -> None:
    with pytest.raises(UnitError, match="did you mean 20%"):
        PARSERS["share"]("20")


@given(st.sampled_from(sorted(PARSERS)), st.text())
def test_any_text_is_read_or_refused(unit: str, text: str) -> None:
    with contextlib.suppress(UnitError):
        PARSERS[unit](text)


@given(st.floats(min_value=0, max_value=3e9), st.sampled_from(["duration", "share", "rate"]))
def test_what_is_written_of_a_float_reads_as_the_same_float(value: float, unit: str) -> None:
    value = value / 3e9 if unit == "share" else value
    assert PARSERS[unit](format_value(unit, value)) == value


@given(st.integers(0, 2**53), st.sampled_from(["size", "count", "money", "token_price"]))
def test_what_is_written_of_a_whole_number_reads_as_the_same(value: int, unit: str) -> None:
    assert PARSERS[unit](format_value(unit, value)) == value


@pytest.mark.parametrize(
    ("unit", "value", "want"),
    [
        ("duration", 0.25, "250ms"),
        ("duration", 600.0, "10m"),
        ("duration", 0.0, "0s"),
        ("duration", 7776000.0, "90d"),
        ("size", 33554432, "32 MiB"),
        ("size", 1000, "1000 B"),
        ("share", 0.2, "20%"),
        ("number", 0.6, "0.6"),
        ("number", 400.0, "400"),
        ("rate", 1.0, "1/s"),
        ("rate", 0.5, "30/m"),
        ("money", 2_000_100_000_000, "2000.1 USD"),
        ("token_price", 150_000_000, "0.15 USD/Mtok"),
        ("url", "https://x", "https://x"),
    ],
)
def test_a_value_is_written_as_people_write_it(unit: str, value: float, want: str) -> None:
    assert format_value(unit, value) == want


def test_an_address_comes_apart() -> None:
    assert split_address("[::1]:80") == ("::1", 80)
    assert split_address("host:0") == ("host", 0)


@pytest.mark.parametrize(
    ("address", "want"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("127.0.0.1.example.com:1", False),
    ],
)
def test_only_loopback_is_loopback(address: str, want: bool) -> None:
    assert is_loopback(address) is want
