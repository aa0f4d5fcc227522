"""The usage at the end of an answer that was too long to keep."""

import json
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.providers.dialects.tail import last_usage


class Usage(msgspec.Struct):
    tokens: int
    detail: dict[str, int] = {}


DECODER = msgspec.json.Decoder(Usage)


@dataclass(frozen=True)
class Case:
    name: str
    tail: str
    want: Usage | None


CASES = [
    Case("last in the answer", 'e"}],"usage":{"tokens":3}}', Usage(3)),
    Case("within", '"usage":{"tokens":3},"id":"x"}', Usage(3)),
    Case("objects in it", '"usage":{"tokens":3,"detail":{"a":1},"more":[{},{"b":{}}]}}',
         Usage(3, {"a": 1})),
    Case("indented", '"usage" : {\n  "tokens": 3\n}\n}\n', Usage(3)),
    Case("letters of several bytes before and in it", 'ö","usage":{"x":"höhe 翼","tokens":3}}',
         Usage(3)),
    Case("a letter cut in half", '\udcb6","usage":{"tokens":3}}', Usage(3)),
    Case("null", '"usage":null,"other":{"tokens":3}}', None),
    Case("none", '"other":{"tokens":3}}', None),
    Case("nothing", "", None),
    Case("a text that speaks of it",
         '"usage":{"tokens":3},"text":"{\\"usage\\":{\\"tokens\\":9}}"}', Usage(3)),
    Case("an entry of metadata behind it", '"usage":{"tokens":3},"metadata":{"usage":"high"}}',
         Usage(3)),
    Case("another object of the name", '"usage":{"tokens":3},"metadata":{"usage":{"a":1}}}',
         Usage(3)),
    Case("two: the last counts", '"usage":{"tokens":3},"usage":{"tokens":4}}', Usage(4)),
    Case("cut before its end", '"usage":{"tokens":3,"detail":{"a":1}', None),
    Case("not of this shape", '"usage":{"tokens":"many"}}', None),
    Case("not JSON", '"usage":{tokens}}', None),
    Case("deeper than anybody nests", '"usage":' + '{"usage":' * 20_000, None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_last_usage_that_is_one_is_found(case: Case) -> None:
    assert last_usage(case.tail.encode(errors="surrogateescape"), DECODER) == case.want


@given(st.text(), st.integers(0, 10**9), st.integers(0, 400))
def test_wherever_the_beginning_is_gone_the_usage_is_the_same(
    text: str, tokens: int, gone: int
) -> None:
    usage = b'"usage":{"tokens":%d}}' % tokens
    answer = json.dumps({"text": text}, ensure_ascii=False).encode()[:-1] + b"," + usage
    assert last_usage(answer[min(gone, len(answer) - len(usage)) :], DECODER) == Usage(tokens)


@given(st.binary())
def test_whatever_the_end_is_it_is_looked_at_in_peace(end: bytes) -> None:
    last_usage(b'"usage":{' + end, DECODER)
