"""A wrong document: every error at once, each with its place, what was expected and found."""

import contextlib
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from towplane.document.load import load_file, parse_document
from towplane.document.nodes import MOST_BYTES, MOST_DEPTH
from towplane.document.problems import DocumentError, Problem
from towplane.document.resolve import find_missing, resolve_secrets

GOOD = """\
plane: acme
engines:
  small: {engine: llama.cpp, weights: "file:small.gguf"}
providers:
  cloud:
    kind: openai-compatible
    endpoint: https://api.example.com/v1
    credentials: [{api_key: env:CLOUD_KEY}]
    prices: {big: [{from: 2026-01-01, input: 0.15 USD/Mtok, output: 1 USD/Mtok}]}
routing:
  chat: {targets: [{provider: cloud, model: big}], fallback: [local]}
  local: {targets: [{engine: small}]}
tenants:
  acme: {models: [chat]}
"""


class Case(NamedTuple):
    name: str
    given: str
    want: list[str]
    """Of each problem: line:column path: what; expected; found; nearest (empty parts left out)."""


def problems_of(text: str | bytes) -> list[Problem]:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(DocumentError) as caught:
        parse_document(data)
    return list(caught.value.problems)


def show(problem: Problem) -> str:
    return str(problem).removeprefix("plane.yaml:")


def insert(section: str) -> str:
    return "plane: acme\n" + textwrap.dedent(section).lstrip("\n")


YAML = [
    Case("empty", "", ["1:1: the document is empty"]),
    Case("only a comment", "# nothing\n", ["1:1: the document is empty"]),
    Case("only null", "~", ["1:1: the document is empty"]),
    Case("a list", "- plane", ["1:1: wrong value; expected a mapping; found a list"]),
    Case("a word", "acme", ["1:1: wrong value; expected a mapping; found other text, not shown "
         "here"]),
    Case("a tab", "plane: acme\nadmin:\n\tlisten: x", ["3:1: a tab; YAML is indented with spaces"]),
    Case("a tab after spaces", "plane: acme\nadmin:\n  a: 1\n \tb: 2",
         ["4:2: a tab; YAML is indented with spaces"]),
    Case("an unclosed list", "plane: [a", ["2:1: not YAML: did not find expected ',' or ']' "
         "while parsing a flow sequence"]),
    Case("an unclosed quote", "plane: 'a", ["1:10: not YAML: found unexpected end of stream "
         "while scanning a quoted scalar"]),
    Case("two colons", "plane: a: b", ["1:9: not YAML: mapping values are not allowed in this "
         "context"]),
    Case("two documents", "plane: acme\n---\nplane: other\n",
         ["2:1: a second document begins; one file holds one"]),
    Case("a control character", "plane: acme\n# \x07", ["2:3: the control character U+0007 is "
         "not allowed"]),
    Case("a tag", "plane: !!python/name:os.system acme",
         ["1:8: the tag tag:yaml.org,2002:python/name:os.system is not used here; remove it"]),
    Case("a merge key", "x: &x {}\nplane: acme\nadmin: {<<: *x}",
         ["1:1: x: unknown key; expected one of plane, tier, data_dir, gateway, admin, "
          "providers, engines, "
          "routing, tenants, tenant_alerts, monitoring",
          "3:9: merge keys (<<) are not used here; write the keys out"]),
    Case("an alias of nothing", "plane: *name", ["1:8: the alias *name names no anchor before it",
         "1:8: plane: wrong value; expected letters, digits, . _ -, beginning with a letter or "
         "digit, "
         "at most 63; found nothing"]),
    Case("an alias inside itself", "plane: acme\nadmin: &a {token: *a}",
         ["2:19: the alias *a stands inside what it names"]),
    Case("a duplicate key", "plane: acme\nadmin: {}\nplane: other",
         ["3:1: plane: duplicate key; the first one is in line 1"]),
    Case("a list as key", "plane: acme\n? [a]\n: b", ["2:3: wrong key; expected text; found a "
         "list"]),
    Case("too deep", "plane: " + "[" * 50,
         [f"1:{7 + MOST_DEPTH}: nested deeper than {MOST_DEPTH} levels"]),
]  # fmt: skip

TYPES = [
    Case("nothing but a typo", "plain: acme",
         ["1:1: plain: unknown key; did you mean plane?", "1:1: plane: missing key; expected "
          "letters, digits, "
          ". _ -, beginning with a letter or digit, at most 63"]),
    Case("a name that is a number", "plane: 7",
         ["1:8: plane: wrong value; expected letters, digits, . _ -, beginning with a letter or "
          "digit, at most "
          "63; found 7 (put it in quotes)"]),
    Case("a choice", insert("tier: onprme"),
         ["2:7: tier: wrong value; expected one of cloud, kubernetes, onprem; found onprme; did "
          "you mean onprem?"]),
    Case("a duration without a unit", insert("gateway: {drain: 30}"),
         ["2:18: gateway.drain: wrong value; expected a duration such as 250ms, 2s, 10m, 1h or "
          "7d; found 30"]),
    Case("yes is not true", insert("monitoring: {access_log: yes}"),
         ["2:26: monitoring.access_log: wrong value; expected true or false; found yes"]),
    Case("quoted true is not true", insert('monitoring: {access_log: "true"}'),
         ['2:26: monitoring.access_log: wrong value; expected true or false; found "true"']),
    Case("no workers", insert("gateway:\n  workers: 0\n"),
         ["3:12: gateway.workers: wrong value; expected a whole number from 1 up, such as 1, "
          "4_096 or 4k; found 0"]),
    Case("nothing where a section is", insert("admin:\n"),
         ["2:7: admin: wrong value; expected a mapping; found nothing (write {} for its "
          "defaults)"]),
    Case("text that YAML takes for something else", insert("""
         providers:
           p: {kind: openai-compatible, endpoint: https://x, prices: {m: [
             {from: 2026-01-01, input: 1 USD/Mtok, output: 1 USD/Mtok, source: on}]}}
         routing:
           r: {targets: [{provider: p}]}
         """),
         ['4:71: providers.p.prices.m[0].source: wrong value; expected text; found on (YAML may '
          'read it as '
          'something else: put it in quotes)']),
    Case("a share that is a percentage", insert("""
         routing:
           r: {targets: [{engine: e}], retries: {share: 20}}
         engines: {e: {engine: llama.cpp, weights: "file:w"}}
         """),
         ["3:48: routing.r.retries.share: wrong value; expected a share from 0% to 100%, such as "
          "20%, 99.9% or "
          "0.2; found 20 (did you mean 20%?)"]),
    Case("money too fine", insert("tenants: {t: {budget: {daily: 0.0000000001 USD}}}"),
         ["2:31: tenants.t.budget.daily: wrong value; expected an amount such as 2000 USD or "
          "0.15 USD, with at "
          "most 9 decimals; found 0.0000000001 USD (finer than a nano-dollar)"]),
    Case("a day that is not", insert("""
         engines:
           e: {engine: llama.cpp, weights: "file:w", prices: [
             {from: 2026-02-30, input: 1 USD/Mtok, output: 1 USD/Mtok}]}
         routing: {r: {targets: [{engine: e}]}}
         """),
         ["4:12: engines.e.prices[0].from: wrong value; expected a day such as 2026-11-23; found "
          "2026-02-30 "
          "(no such day)"]),
    Case("names with signs", insert('tenants: {"a b": {}, "": {}}'),
         ['2:11: tenants["a b"]: not a legal name; expected letters, digits, . _ -, beginning '
          'with a letter or '
          'digit, at most 63; found a b',
          '2:22: tenants[""]: not a legal name; expected letters, digits, . _ -, beginning with '
          'a letter or '
          'digit, at most 63; found nothing']),
    Case("all at once, in the order of the file", insert("""
         gatway: {}
         admin: {listn: "127.0.0.1:1", token: 5}
         tenants:
           t: {limits: {rpm: many}}
         """),
         ["2:1: gatway: unknown key; did you mean gateway?",
          "3:9: admin.listn: unknown key; did you mean listen?",
          "3:38: admin.token: wrong value; expected a reference such as env:NAME, file:PATH or "
          "command:PROGRAM, never the secret itself; "
          "found other text, not shown here (put it in quotes)",
          "5:21: tenants.t.limits.rpm: wrong value; expected a whole number from 0 up, such as "
          "600, 400_000 or "
          "400k; found many"]),
]  # fmt: skip

WHOLE = [
    Case("a dangling engine", GOOD.replace("{engine: small}", "{engine: smal}"),
         ["12:30: routing.local.targets[0].engine: no such engine; found smal; did you mean "
          "small?"]),
    Case("a dangling provider far from any name", GOOD.replace("provider: cloud", "provider: zzz"),
         ["11:31: routing.chat.targets[0].provider: no such provider; expected one of cloud; "
          "found zzz"]),
    Case("a misspelt section is one mistake", GOOD.replace("providers:", "provider:"),
         ["4:1: provider: unknown key; did you mean providers?"]),
    Case("a section of the wrong type is one mistake", insert("engines: []\nrouting: {r: "
         "{targets: [{engine: e}]}}"),
         ["2:10: engines: wrong value; expected a mapping; found a list"]),
    Case("a misspelt key of a target is one mistake", GOOD.replace("{engine: "
         "small}", "{engin: small}"),
         ["12:22: routing.local.targets[0].engin: unknown key; did you mean engine?"]),
    Case("neither provider nor engine", GOOD.replace("{engine: small}", "{weight: 2}"),
         ["12:21: routing.local.targets[0]: not a target; expected exactly one of provider and "
          "engine; found neither"]),
    Case("both provider and engine", GOOD.replace("{engine: small}", "{engine: small, provider: "
         "cloud}"),
         ["12:21: routing.local.targets[0]: not a target; expected exactly one of provider and "
          "engine; found both"]),
    Case("no targets", GOOD.replace("[{engine: small}]", "[]"),
         ["12:20: routing.local.targets: no target; expected at least one"]),
    Case("weights of zero everywhere", GOOD.replace("{engine: small}", "{engine: small, weight: "
         "0}"),
         ["12:20: routing.local.targets: every target has weight 0, so none can be chosen"]),
    Case("the same target twice", GOOD.replace("[{engine: small}]", "[{engine: small}, {engine: "
         "small, weight: 2}]"),
         ["12:38: routing.local.targets[1]: the same target twice in one route; expected one "
          "entry, with a weight "
          "if it counts more"]),
    Case("a dangling fallback", GOOD.replace("fallback: [local]", "fallback: [locl, {engine: "
         "big}]"),
         ["11:63: routing.chat.fallback[0]: no such route; found locl; did you mean local?",
          "11:78: routing.chat.fallback[1].engine: no such engine; expected one of small; found "
          "big"]),
    Case("a fallback to itself", GOOD.replace("fallback: [local]", "fallback: [chat]"),
         ["11:63: routing.chat.fallback[0]: fallback goes in a circle: chat → chat"]),
    Case("fallbacks in a circle", GOOD.replace("{engine: small}]}", "{engine: small}], fallback: "
         "[chat]}"),
         ["12:50: routing.local.fallback[0]: fallback goes in a circle: chat → local → chat"]),
    Case("a tenant's model", GOOD.replace("models: [chat]", "models: [chat, lokal]"),
         ["14:25: tenants.acme.models[1]: no such route; found lokal; did you mean local?"]),
    Case("prices out of order", GOOD.replace(
        "[{from: 2026-01-01,", "[{from: 2026-02-01, input: 1 USD/Mtok, output: 1 USD/Mtok}, "
         "{from: 2026-01-01,"),
         ["9:86: providers.cloud.prices.big[1].from: prices are not ordered by day; expected a "
          "day after 2026-02-01; "
          "found 2026-01-01"]),
    Case("a day twice", GOOD.replace(
        "[{from: 2026-01-01,", "[{from: 2026-01-01, input: 1 USD/Mtok, output: 1 USD/Mtok}, "
         "{from: 2026-01-01,"),
         ["9:86: providers.cloud.prices.big[1].from: the same day twice; expected a day after "
          "2026-01-01; "
          "found 2026-01-01"]),
    Case("an open admin port without a token", GOOD + 'admin: {listen: "0.0.0.0:9090"}\n',
         ["15:17: admin.listen: an admin port that is not on loopback needs a token; expected "
          "admin.token beside it, "
          "such as env:TOWPLANE_ADMIN_TOKEN; found 0.0.0.0:9090"]),
    Case("one port for two", GOOD + "admin: {listen: 127.0.0.1:8080}\n",
         ["15:17: admin.listen: the admin port and the serving port are the same; found "
          "127.0.0.1:8080"]),
    Case("a name for two", GOOD.replace("  small: {", "  cloud: "
         "{").replace("engine: small", "engine: cloud"),
         ["3:3: engines.cloud: an engine and a provider have the same name"]),
    Case("more slots than context", GOOD.replace('gguf"}', 'gguf", context: 2, parallel: 3}'),
         ["3:80: engines.small.parallel: more parallel slots than tokens of context to divide "
          "among them; "
          "expected at most 2; found 3"]),
    Case("a breaker open longer than its longest", GOOD.replace(
        "{engine: small}]", "{engine: small}], breaker: {open: 5s, longest: 1s}"),
         ["12:68: routing.local.breaker.longest: a breaker stays open longer than its longest"]),
    Case("a body that holds nothing", GOOD + "gateway: {limits: {body: 10}}\n",
         ["15:26: gateway.limits.body: too small for any request; expected at least 1024 bytes"]),
    Case("a fault and what does not follow from it", GOOD.replace("chat: {targets", "'ch at': "
         "{targts"),
         ["11:3: routing[\"ch at\"]: not a legal name; expected letters, digits, . _ - / :, "
          "beginning with a letter or "
          "digit, at most 127; found ch at",
          "11:12: routing[\"ch at\"].targets: missing key; expected a list",
          "11:13: routing[\"ch at\"].targts: unknown key; did you mean targets?",
          "14:19: tenants.acme.models[0]: no such route; found chat; did you mean ch at?"]),
]  # fmt: skip


@pytest.mark.parametrize("case", [*YAML, *TYPES, *WHOLE], ids=lambda case: case.name)
def test_each_error_says_where_what_expected_and_found(case: Case) -> None:
    assert [show(problem) for problem in problems_of(case.given)] == case.want


def test_a_good_document_is_good_and_its_paths_are_absolute(tmp_path: Path) -> None:
    document = parse_document(GOOD.encode(), folder=tmp_path)
    plane = document.plane
    assert document.warnings == ()
    assert plane.data_dir == f"{tmp_path}/.towplane"
    assert plane.engines["small"].weights == f"file:{tmp_path}/small.gguf"
    assert plane.providers["cloud"].prices["big"][0].input == 150_000_000
    assert plane.routing["chat"].timeouts.connect_s == 2.0


def test_what_is_not_utf8_is_said_with_its_place() -> None:
    assert [show(each) for each in problems_of(b"plane: acme\n# gr\xfc\xdfe")] == [
        "2:5: not UTF-8 text"
    ]


def test_a_file_that_is_too_large_is_not_parsed() -> None:
    (problem,) = problems_of(b"#" * (MOST_BYTES + 1))
    assert (problem.line, problem.what) == (0, "larger than 4 MiB")


def test_aliases_are_followed() -> None:
    text = GOOD.replace("[{provider: cloud, model: big}]", "&t [{provider: cloud, model: big}]")
    text = text.replace("[{engine: small}]", "*t")
    plane = parse_document(text.encode()).plane
    assert plane.routing["local"].targets == plane.routing["chat"].targets


def test_aliases_cannot_make_a_small_file_large() -> None:
    """A billion laughs: here half a million targets in 60 kB."""
    targets = ", ".join(["{provider: p}"] * 100)
    shared = "\n".join(f"  r{index}: *r" for index in range(5000))
    text = f"plane: acme\nrouting:\n  r: &r {{targets: [{targets}]}}\n{shared}\n"
    assert any("aliases repeat them" in problem.what for problem in problems_of(text))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{"])
def test_a_file_of_brackets_is_refused_without_recursion(opening: str) -> None:
    assert (
        "nested deeper" in problems_of("a: " * (opening == "- ") + "\n" + opening * 200_000)[0].what
    )


def test_a_key_that_yaml_reads_as_true_is_the_word_that_was_written() -> None:
    text = GOOD.replace("engine: llama.cpp,", "engine: llama.cpp, on: local,")
    assert parse_document(text.encode()).plane.engines["small"].on == "local"


@pytest.mark.parametrize(
    "secret",
    [
        "credentials: [{api_key: sk-proj-SECRET}]",
        "credentials: [sk-proj-SECRET]",
        "credentials: sk-proj-SECRET",
        "credentials: {api_key: sk-proj-SECRET}",
        "credentials: [{api_key: [sk-proj-SECRET]}]",
        "credentials: [{api_key: env:sk-proj-SECRET}]",
    ],
)
def test_a_secret_in_the_document_is_refused_and_not_repeated(secret: str) -> None:
    text = GOOD.replace("credentials: [{api_key: env:CLOUD_KEY}]", secret)
    with pytest.raises(DocumentError) as caught:
        parse_document(text.encode())
    assert "SECRET" not in str(caught.value)
    assert "SECRET" not in str(caught.value.details)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    text = GOOD.replace("https://api", "https://user:PASSWORD@api")
    (problem,) = problems_of(text)
    assert problem.path == "providers.cloud.endpoint"
    assert "PASSWORD" not in str(problem)


def test_a_message_holds_no_character_that_steers_a_terminal() -> None:
    problems = problems_of('plane: acme\n"\\e[2Jpl\\nne": 1\ntier: "\\e[31monprem"\n')
    assert all(char.isprintable() for problem in problems for char in str(problem))


def test_what_nothing_uses_is_a_warning() -> None:
    text = GOOD.replace("{provider: cloud, model: big}", "{engine: small}")
    assert [str(each) for each in parse_document(text.encode()).warnings] == [
        "plane.yaml:5:3: warning: providers.cloud: no route uses it"
    ]
    assert [str(each) for each in parse_document(b"plane: acme").warnings] == [
        "plane.yaml:1:1: warning: routing: no route: clients can ask for no model"
    ]


def test_a_key_sent_in_the_clear_is_a_warning() -> None:
    text = GOOD.replace("https://api.example.com", "http://api.example.com")
    (warning,) = parse_document(text.encode()).warnings
    assert str(warning) == (
        "plane.yaml:7:15: warning: providers.cloud.endpoint: "
        "the credential would travel unencrypted; expected https"
    )


def test_a_budget_without_prices_is_a_warning() -> None:
    text = GOOD.replace("{models: [chat]}", "{budget: {monthly: 5 USD}}")
    (warning,) = parse_document(text.encode()).warnings
    assert warning.path == "tenants.acme.budget"
    assert warning.what == "refused to this tenant, as no target has a price: local"


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        load_file(tmp_path / "plane.yaml")
    assert caught.value.problems[0].what == "no such file"
    assert "towplane init" in caught.value.next_step
    with pytest.raises(DocumentError, match="cannot be read: Is a directory"):
        load_file(tmp_path)


def test_all_missing_secrets_are_reported_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("env:CLOUD_KEY}", "env:CLOUD_KEY}, {api_key: file:key}, {api_key: env:B}")
    document = parse_document(text.encode(), folder=tmp_path)
    with pytest.raises(DocumentError) as caught:
        resolve_secrets(document, {"B": "b"})
    assert [(each.line, each.column, each.path) for each in caught.value.problems] == [
        (8, 29, "providers.cloud.credentials[0].api_key"),
        (8, 55, "providers.cloud.credentials[1].api_key"),
    ]
    (tmp_path / "key").write_text("k\n")
    sealed = resolve_secrets(document, {"B": "b", "CLOUD_KEY": "c"})
    assert {name: value.reveal() for name, value in sealed.items()} == {
        "env:CLOUD_KEY": "c",
        f"file:{tmp_path}/key": "k",
        "env:B": "b",
    }


def test_what_the_document_names_outside_itself_is_looked_for_on_demand(tmp_path: Path) -> None:
    text = GOOD + "gateway: {tls: {certificate: a.pem, key: b.pem}}\n"
    document = parse_document(text.encode(), folder=tmp_path)
    (tmp_path / "a.pem").touch()
    assert [problem.path for problem in find_missing(document, {"CLOUD_KEY": "c"})] == [
        "engines.small.weights",
        "gateway.tls.key",
    ]


YAML_LIKE = st.recursive(
    st.sampled_from(
        ["acme", "7", "~", "true", "2s", "env:A", "chat", "&a x", "*a", "'", '"', "|", "!t", "<<"]
    )
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]")
        | st.lists(
            st.tuples(
                st.sampled_from(
                    [
                        "plane",
                        "routing",
                        "chat",
                        "targets",
                        "engine",
                        "providers",
                        "fallback",
                        "on",
                        "<<",
                    ]
                ),
                inner,
            ),
            max_size=4,
        ).map(lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}")
    ),
    max_leaves=12,
)


@given(st.text() | YAML_LIKE | YAML_LIKE.map(lambda text: f"plane: a\nrouting: {text}"))
@example("\ufeffplane: acme")
@example("%YAML 9.9\n---\na: 1")
@example("&a : *a")
@example("? ? ? a")
def test_any_text_is_a_document_or_a_document_error(text: str) -> None:
    with contextlib.suppress(DocumentError):
        parse_document(text.encode("utf-8", "surrogatepass"))


@given(st.binary())
def test_any_bytes_are_a_document_or_a_document_error(data: bytes) -> None:
    with contextlib.suppress(DocumentError):
        parse_document(data)


@given(st.integers(0, len(GOOD)), st.integers(0, 30), st.text(max_size=3))
def test_any_edit_of_a_document_is_a_document_or_a_document_error(
    start: int, length: int, new: str
) -> None:
    text = GOOD[:start] + new + GOOD[start + length :]
    with contextlib.suppress(DocumentError):
        parse_document(text.encode())
