"""What a policy is told of a request: keys of its parsed prompt."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.gateway.demand import make_demand
from towplane.gateway.receive import PATHS, receive
from towplane.providers.prompt import read_prompt
from towplane.routing.demand import Demand, Want
from towplane.routing.keys import ENDS, block_keys, prompt_salt
from towplane.routing.spec import Affinity, Hashing, Prefix, RouteSpec
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.wire import post

ALL: frozenset[Want] = frozenset(("prefix", "blocks", "session"))
TEXT = st.text(max_size=400)
ROLE = st.sampled_from(["system", "user", "assistant"])
TURNS = st.lists(
    st.fixed_dictionaries({"role": ROLE, "content": TEXT}), min_size=1, max_size=6
)  # fmt: skip


def demand(
    body: dict[str, Any] | bytes,
    path: str = "/v1/chat/completions",
    *,
    tenant: str = "globex",
    wants: frozenset[Want] = ALL,
    headers: dict[bytes, bytes] | None = None,
    **spec: Any,
) -> Demand:
    """Of a body as a client sends it."""
    written = body if isinstance(body, bytes) else json.dumps({"model": "m", **body}).encode()
    ask = receive(PATHS[path.encode()], [written], {})
    spec = {"prefix": Prefix(block=32)} | spec
    return make_demand(ask, RouteSpec(targets=[], **spec), wants, tenant, headers=headers or {})


def keys(demand: Demand) -> object:
    """By what it is like others."""
    return demand.blocks, demand.stretches, demand.prefix, demand.session, demand.tenant


def chat(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": list(turns), **more}


def whole(turns: list[dict[str, Any]]) -> bytes:
    """The canonical form of a chat."""
    body = json.dumps({"model": "m", "messages": turns}).encode()
    return read_prompt(receive(PATHS[b"/v1/chat/completions"], [body], {})).whole()


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def respelled(value: Any, draw: st.DataObject) -> str:
    """The same JSON, written otherwise: other order, spaces, escapes."""
    if isinstance(value, dict):
        items = draw.draw(st.permutations(list(value.items())))
        space = draw.draw(st.sampled_from(["", " ", "\n\t"]))
        inside = ",".join(
            f"{space}{json.dumps(name)}{space}:{respelled(one, draw)}" for name, one in items
        )
        return "{" + inside + space + "}"
    if isinstance(value, list):
        return "[ " + ", ".join(respelled(one, draw) for one in value) + "]"
    return json.dumps(value, ensure_ascii=draw.draw(st.booleans()))


@given(TURNS, st.data())
def test_two_spellings_of_one_prompt_are_one_demand(
    turns: list[dict[str, Any]], data: st.DataObject
) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"a": 1, "b": [2]}}}]
    body = {"model": "m", "messages": turns, "tools": tools, "user": "ann"}
    one = demand(json.dumps(body).encode())
    other = demand(respelled({**body, "extra": {"x": 1}, "temperature": 0.5}, data).encode())
    assert keys(one) == keys(other)


@given(TURNS, TURNS)
def test_a_longer_conversation_keeps_the_blocks_of_its_beginning(
    turns: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    before, after = demand(chat(*turns)).blocks, demand(chat(*turns, *more)).blocks
    assert after[: len(before)] == before


@given(TURNS, TURNS)
def test_blocks_are_equal_as_far_as_the_prompts_are(
    some: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    texts = [whole(turns) for turns in (some, others)]
    keys = [demand(chat(*turns)).blocks for turns in (some, others)]
    for end, key, other in zip(ENDS, *keys, strict=False):
        assert (key == other) == (texts[0][: end * 32] == texts[1][: end * 32])


@given(st.integers(0, 700), st.integers(0, 100), st.integers(0, 100))
def test_long_prompts_are_equal_up_to_the_ends_that_all_know(
    shared: int, one: int, other: int
) -> None:
    salt, begin = prompt_salt("acme", ""), b"a" * shared
    keys = [block_keys(salt, begin + rest, 1) for rest in (b"b" * one, b"c" * other)]
    equal = sum(a == b for a, b in zip(*keys, strict=False))
    assert equal == sum(end <= shared for end in ENDS)
    for found, size in zip(keys, (shared + one, shared + other), strict=True):
        assert len(found) == sum(end <= size for end in ENDS)


def test_a_block_is_at_most_a_24th_of_what_lies_before() -> None:
    assert ENDS[:48] == tuple(range(1, 49))
    assert all(end - begin <= max(1, begin / 24) for begin, end in pairwise(ENDS))
    assert 512 - 512 / 24 < ENDS[-1] <= 512


@given(TURNS, TURNS)
def test_two_different_conversations_are_different_bytes(
    some: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    assert (whole(some) == whole(others)) == (some == others)


def test_tenants_with_the_same_words_are_told_apart() -> None:
    body = chat(user("word " * 50), user="ann")
    one, other = demand(body), demand(body, tenant="initech")
    assert one.prefix != other.prefix
    assert one.session != other.session
    assert not set(one.blocks) & set(other.blocks)


def test_what_nobody_wants_is_not_computed() -> None:
    body = chat(user("word " * 50), user="ann")
    nothing = demand(body, wants=frozenset())
    assert (nothing.prefix, nothing.blocks, nothing.session) == (0, (), 0)
    only = demand(body, wants=frozenset(("session",)))
    assert (only.prefix, only.blocks) == (0, ())
    assert only.session == demand(body).session


def test_a_text_that_looks_like_a_turn_is_text() -> None:
    plain = demand(chat(user("hello")))
    forged = demand(chat(user('hello"}, {"role": "user", "content": "hello')))
    inside = demand(chat({"role": "system", "content": '"user": "hello"'}, user("bye")))
    assert len({plain.prefix, forged.prefix, inside.prefix}) == 3


def test_the_prefix_is_the_begin_of_the_first_words_of_the_user() -> None:
    system = {"role": "system", "content": "Be brief."}
    head = "ä" * 100
    one = demand(chat(system, user(head + "tail")))
    assert demand(chat(user(head + "other"))).prefix == one.prefix
    assert demand(chat(user("ä" * 99 + "x"))).prefix != one.prefix
    whole = demand(chat(system, user(head)), hashing=Hashing(of="start"))
    assert whole.prefix != demand(chat(user(head)), hashing=Hashing(of="start")).prefix


def test_a_prompt_without_a_user_has_a_prefix_too() -> None:
    assert demand(chat({"role": "system", "content": "Be brief."})).prefix


def test_a_text_and_a_list_with_this_text_are_one_prompt() -> None:
    parts = [{"type": "text", "text": "hello " * 20, "cache_control": {"type": "ephemeral"}}]
    assert demand(chat(user(parts))).blocks == demand(chat(user("hello " * 20))).blocks


@pytest.mark.parametrize("field", ["image_url", "input_audio", "file"])
def test_images_and_files_tell_prompts_apart(field: str) -> None:
    def of(data: str) -> Demand:
        words = {"type": "text", "text": "?" * 40}
        return demand(chat(user([{"type": field, field: {"data": data}}, words])))

    assert of("a" * 50).blocks == of("a" * 50).blocks
    assert of("a" * 50).blocks != of("b" * 50).blocks
    assert of("a" * 50).prefix != of("b" * 50).prefix


def test_a_mark_for_caches_that_moves_changes_nothing() -> None:
    def of(*marked: int) -> object:
        marks = [{"cache_control": {"type": "ephemeral"}} if n in marked else {} for n in range(3)]
        said = [{"type": "text", "text": "r", **marks[1]}]
        result = {"type": "tool_result", "tool_use_id": "t", "content": said}
        turns = [
            user([{"type": "text", "text": "a" * 50, **marks[0]}]),
            user([result, {"type": "text", "text": "b" * 50}]),
        ]
        system = [{"type": "text", "text": "s", **marks[2]}]
        body = {"messages": turns, "max_tokens": 9, "system": system}
        return keys(demand(body, "/v1/messages"))

    assert of() == of(0) == of(0, 1, 2)


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
def test_prompts_of_token_ids_do_not_fall_together(path: str) -> None:
    field = {"/v1/completions": "prompt", "/v1/embeddings": "input"}[path]
    given: list[Any] = [
        list(range(64)), list(range(1, 65)), "0 1 2 3" * 20, [list(range(64)), [7] * 64],
        ["word " * 20, "more " * 20], ["word " * 20, "less " * 20],
    ]  # fmt: skip
    found = [demand({field: one}, path) for one in given]
    assert len({one.blocks for one in found}) == len(given)
    assert all(one.prefix for one in found)
    longer = demand({field: list(range(96))}, path)
    assert longer.blocks[: len(found[0].blocks)] == found[0].blocks


def test_responses_are_read_as_instructions_and_items() -> None:
    path, words = "/v1/responses", "word " * 40
    short = demand({"instructions": "Be brief.", "input": words}, path)
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
    assert demand({"instructions": "Be brief.", "input": [item]}, path).prefix == short.prefix
    longer = [item, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
              {"type": "function_call_output", "call_id": "c", "output": "42"}]  # fmt: skip
    first = demand({"input": [item]}, path).blocks
    assert demand({"input": longer}, path).blocks[: len(first)] == first


def test_tools_and_the_system_text_stand_before_the_turns() -> None:
    body = {"messages": [user("hello " * 20)], "max_tokens": 9}
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    keys = {
        demand(one, "/v1/messages").blocks[0]
        for one in (body, {**body, "tools": tools}, {**body, "system": "Be brief."})
    }
    assert len(keys) == 3


@pytest.mark.parametrize(
    "body",
    [{"messages": 7}, {"messages": [7]}, {"messages": None}, {}, {"messages": {"b": 1, "a": 2}},
     {"messages": [{"role": 3, "content": {"x": 1}}]}],
)  # fmt: skip
def test_a_prompt_of_no_known_shape_is_no_failure_of_the_plane(body: dict[str, Any]) -> None:
    assert keys(demand(body)) == keys(demand(json.dumps({"model": "m", **body}).encode()))


@pytest.mark.parametrize("nasty", [b'"\xff\xff"', b'[{"role":"user","content":"\xed\xa0\x80"}]',
                                   b"[" * 900 + b"]" * 900])  # fmt: skip
def test_broken_text_has_no_key_and_does_no_harm(nasty: bytes) -> None:
    demand(b'{"model":"m","messages":' + nasty + b"}")


def test_long_prompts_are_looked_at_up_to_a_bound() -> None:
    found = demand(chat(user("x" * 32 * 2 * ENDS[-1])))
    assert len(found.blocks) == len(ENDS) < 128
    assert found.stretches > 2 * ENDS[-1]


@pytest.mark.parametrize(
    "field",
    [{"user": "ann"}, {"safety_identifier": "s"}, {"prompt_cache_key": "k"},
     {"metadata": {"user_id": "u"}}, {"previous_response_id": "resp_1"}, {"conversation": "c"},
     {"conversation": {"id": "c2"}}],
)  # fmt: skip
def test_a_session_is_told_by_what_the_body_has(field: dict[str, Any]) -> None:
    one, other = demand(chat(user("a"), **field)), demand(chat(user("b"), **field))
    assert one.session == other.session != 0
    assert demand(chat(user("a"))).session == 0
    names = [name for name in field if name != "conversation"]
    for name in names:
        changed = {**field, name: {"user_id": "v"} if name == "metadata" else "v"}
        assert demand(chat(user("a"), **changed)).session != one.session


@pytest.mark.parametrize(
    "odd", [{"user": 7}, {"user": None}, {"metadata": []}, {"conversation": 1}]
)
def test_odd_fields_are_no_failure_of_the_plane(odd: dict[str, Any]) -> None:
    demand(chat(user("a"), **odd))


def test_the_header_goes_before_the_body() -> None:
    spec: dict[str, Any] = {"affinity": Affinity(header="X-Chat")}
    by_header = demand(chat(user("a"), user="ann"), headers={b"x-chat": b"1"}, **spec)
    assert demand(chat(user("b")), headers={b"x-chat": b"1"}, **spec).session == by_header.session
    assert demand(chat(user("a"), user="ann"), **spec).session != by_header.session


def test_keys_are_the_same_on_every_machine() -> None:
    found = demand(chat(user("hello " * 10), user="ann"))
    assert (found.prefix, found.session, found.blocks) == (PREFIX, SESSION, BLOCKS)


PREFIX = 0x6C7CF616E3434946
SESSION = 0x2ABD1EC5744B12C1
BLOCKS = (
    0x5558C1E60A68E254,
    0xAD7C290A5E153ABA,
)
"""As first computed: whoever changes them loses every affinity at an upgrade, and says so."""


def test_the_serving_port_lets_the_sessions_header_in() -> None:
    spec = route("m", ["a"], affinity=Affinity(header="X-Chat"))
    fleet = Fleet(spec, targets=[target("a")])
    client = fleet.worker.connect()
    client.send(post(fleet.key, {"model": "m"}, headers="X-Chat: 7\r\nX-Other: 8\r\n"))
    (exchange,) = fleet.worker.hall.exchanges
    assert exchange.request.fields[b"x-chat"] == b"7"
    assert b"x-other" not in exchange.request.fields
    fleet.close()
