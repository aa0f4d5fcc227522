"""The schema for editors and the reference page: both follow the types, and each other."""

import re
from pathlib import Path
from typing import NamedTuple

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from towplane.cli.init import DOCUMENT
from towplane.document.docstrings import field_docs
from towplane.document.kinds import describe
from towplane.document.load import parse_document
from towplane.document.nodes import Mapping, Node, Scalar, Sequence, read_nodes
from towplane.document.plane import Plane
from towplane.document.problems import DocumentError
from towplane.document.reference import make_reference
from towplane.document.schema import make_schema

SCHEMA = make_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

GOOD = """\
plane: acme
tier: cloud
data_dir: /var/lib/towplane
gateway:
  listen: 0.0.0.0:8080
  workers: 2
  tls: {certificate: cert.pem, key: key.pem}
  limits: {header_bytes: 16 KiB, body: 1048576, connections: 10k, header_timeout: 5s}
  drain: 0s
admin: {listen: "[::1]:9090", token: env:TOKEN}
providers:
  cloud:
    kind: openai-compatible
    endpoint: https://api.example.com/v1
    credentials: [{api_key: env:KEY}, {api_key: "file:/run/key"}]
    ca: null
    prices:
      vendor/big-1:
        - from: 2026-01-01
          input: 0.15 USD/Mtok
          output: 1 USD/Mtok
          source: page
          tiers: [{above: 200k, input: 1 USD/Mtok, output: 2 USD/Mtok}]
          classes: {batch: {input: 1 USD/Mtok, output: 2 USD/Mtok}}
  azure:
    kind: azure-openai
    endpoint: https://acme.openai.azure.com
    credentials:
      - {api_key: "azure-keyvault:acme/openai"}
      - {tenant_id: t-1, client_id: c-1, client_secret: "command:pass show azure"}
      - {managed_identity: true}
    egress: {proxy: "http://10.0.0.1:3128", proxy_authorization: env:PROXY, address: 10.1.0.4:443}
    provisioned: [{models: [gpt], hourly: 300 USD, from: 2026-01-01, units: 100}]
  aws:
    kind: bedrock
    region: eu-central-1
    credentials: [{instance: true, role: "arn:aws:iam::123456789012:role/x", external_id: env:XID}]
    limits: {rpm: 600, tpm: 200k}
  google:
    kind: vertex
    project: acme
    credentials: [{service_account: "vault:secret/data/google#key"}]
engines:
  small: {engine: llama.cpp, weights: "package:llm-x/a.gguf", on: local, replicas: 2}
routing:
  openai/gpt-4.1:fast:
    choose: weighted
    targets: [{provider: cloud, model: vendor/big-1, weight: 3}, {engine: small, weight: 0}]
    fallback: [small, {provider: cloud, model: other}]
    timeouts: {connect: 250ms, total: 1.5h}
    retries: {share: 20%, floor: 30/m, most: 3}
    breaker: {share: 0.5, failures: 4}
    slo: {ttft: 500ms}
  small: {targets: [{engine: small}]}
tenants:
  acme: {limits: {rpm: 600, tpm: 200_000}, budget: {monthly: 2000 USD}, models: [small]}
  free: {models: null, unpriced: allow}
monitoring: {access_log: true, keep_attempts: 30d}
"""


class Case(NamedTuple):
    name: str
    old: str
    new: str


BAD = [
    Case("unknown key at the top", "tier:", "teir:"),
    Case("unknown key below", "workers:", "worker:"),
    Case("unknown choice", "tier: cloud", "tier: clud"),
    Case("missing key", "plane: acme\n", ""),
    Case("bare duration", "drain: 0s", "drain: 30"),
    Case("zero where there must be time", "connect: 250ms", "connect: 0ms"),
    Case("zero workers", "workers: 2", "workers: 0"),
    Case("negative count", "rpm: 600", "rpm: -1"),
    Case("share above one", "share: 0.5", "share: 50"),
    Case("rate without a time", "30/m", "30"),
    Case("a secret itself", "env:KEY", "sk-proj-123"),
    Case("money of another country", "2000 USD", "2000 EUR"),
    Case("price of nothing", "0.15 USD/Mtok", "0.15 USD"),
    Case("port missing", "0.0.0.0:8080", "0.0.0.0"),
    Case("password in the URL", "https://api", "https://u:p@api"),
    Case("illegal name", "  acme: {limits", "  'a b': {limits"),
    Case("illegal model", "openai/gpt-4.1:fast", "openai gpt"),
    Case("text for a list", "models: [small]", "models: small"),
    Case("yes for true", "access_log: true", "access_log: yes"),
    Case("a kind that is not known", "kind: bedrock", "kind: bedrok"),
    Case("a kind that is missing", "kind: bedrock", "tier: bedrock"),
    Case("a key of another kind", "region: eu", "location: eu"),
    Case("a key of another credential", "managed_identity:", "application_default:"),
    Case("a class of prices that is not known", "batch:", "bach:"),
    Case("a vault without a key", "google#key", "google"),
    Case("a scheme that is not known", "package:llm-x", "hf:llm-x"),
]


def as_json(node: Node) -> object:
    """As a YAML 1.2 editor sees it: the core schema of scalars."""
    match node:
        case Mapping(pairs=pairs):
            return {
                key.text if isinstance(key, Scalar) else str(key): as_json(value)
                for key, value in pairs
            }
        case Sequence(items=items):
            return [as_json(item) for item in items]
        case Scalar(text=text, is_plain=True):
            if re.fullmatch(r"~|null|Null|NULL|", text):
                return None
            if re.fullmatch(r"true|True|TRUE|false|False|FALSE", text):
                return text.lower() == "true"
            if re.fullmatch(r"[-+]?[0-9]+", text):
                return int(text)
            if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text):
                return float(text)
    return node.text


def errors_of(text: str) -> list[str]:
    node, problems = read_nodes(text.encode(), "plane.yaml")
    assert node is not None, problems
    return [error.message for error in VALIDATOR.iter_errors(as_json(node))]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", [GOOD, DOCUMENT, "plane: acme"])
def test_a_good_document_passes_the_schema_and_the_check(text: str) -> None:
    parse_document(text.encode())
    assert errors_of(text) == []


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_bad_document_fails_the_schema_and_the_check(case: Case) -> None:
    text = GOOD.replace(case.old, case.new, 1)
    assert text != GOOD
    assert errors_of(text)
    with pytest.raises(DocumentError):
        parse_document(text.encode())


EDITS = st.lists(
    st.tuples(
        st.sampled_from([word for word in re.split(r"[\s{}\[\],]+", GOOD) if word[-1:] not in ":"]),
        st.sampled_from(
            ["0", "1", "1.0", "0.5", "5%", "null", "~", "true", "x", '"2s"', "2s", "1k", "1_0"]
        )
        | st.from_regex(r"[0-9a-zA-Z./:%_-]{1,8}", fullmatch=True),
    ),
    min_size=1,
    max_size=2,
)


@given(EDITS)
def test_what_the_check_accepts_the_schema_accepts(edits: list[tuple[str, str]]) -> None:
    text = GOOD
    for old, new in edits:
        text = text.replace(old, new, 1)
    try:
        parse_document(text.encode())
    except DocumentError:
        return
    assert errors_of(text) == []


def test_every_key_says_what_it_means() -> None:
    assert list(undocumented(describe(Plane))) == []


def undocumented(kind: inspect.Type) -> list[str]:
    match kind:
        case inspect.StructType(cls=cls, fields=fields):
            docs = field_docs(cls)
            missing = [
                f"{cls.__name__}.{field.name}" for field in fields if not docs.get(field.name)
            ]
            return missing + [name for field in fields for name in undocumented(field.type)]
        case inspect.DictType(value_type=inner) | inspect.ListType(item_type=inner):
            return undocumented(inner)
        case inspect.UnionType(types=types):
            return [name for each in types for name in undocumented(each)]
    return []


def test_an_editor_finds_the_kinds_of_providers_by_their_tag() -> None:
    """Each kind is a definition whose `kind` is constant; editors offer the keys of that one."""
    definitions = SCHEMA["$defs"]
    assert isinstance(definitions, dict)
    providers = definitions["Plane"]["properties"]["providers"]["additionalProperties"]
    assert providers["discriminator"] == {"propertyName": "kind"}
    kinds = [definitions[each["$ref"].rpartition("/")[2]] for each in providers["oneOf"]]
    assert {each["properties"]["kind"]["const"] for each in kinds} == {
        "openai-compatible", "openai", "anthropic", "azure-openai", "bedrock", "vertex",
    }  # fmt: skip
    assert all("kind" in each["required"] and each["description"] for each in kinds)


def test_defaults_are_written_as_people_write_them() -> None:
    definitions = SCHEMA["$defs"]
    assert isinstance(definitions, dict)
    assert definitions["Timeouts"]["properties"]["connect"]["default"] == "2s"
    assert definitions["HttpLimits"]["properties"]["body"]["default"] == "32 MiB"
    assert definitions["GatewaySpec"]["properties"]["workers"]["default"] == 1


def test_the_reference_page_is_current() -> None:
    """`make docs` writes it anew."""
    page = Path(__file__).parents[2] / "docs" / "plane-yaml.md"
    assert page.read_text(encoding="utf-8") == make_reference()
