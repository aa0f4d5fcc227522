"""A wrong provider: each fault once, with its line and column, and what would be right."""

import json
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from towplane.document.load import parse_document
from towplane.document.problems import DocumentError, Problem
from towplane.providers.spec import KeyCredential

ROLE = "arn:aws:iam::123456789012:role/x"
_KINDS = {
    "azure": "kind: azure-openai, endpoint: 'https://a.openai.azure.com'",
    "aws": "kind: bedrock, region: us-east-1",
    "google": "kind: vertex, project: p",
    "openai": "kind: openai",
}


class Case(NamedTuple):
    name: str
    kind: str
    given: str
    """What follows the kind in the section; its column in the document is 5."""
    want: list[str]
    """Of each problem: path: what; expected; found; nearest."""


def problems_of(kind: str, given: str) -> list[Problem]:
    head = _KINDS[kind].replace(", ", "\n    ")
    section = textwrap.indent(textwrap.dedent(given).strip("\n"), "    ")
    text = (
        f"plane: acme\nproviders:\n  p:\n    {head}\n{section}\n"
        "routing:\n  chat: {targets: [{provider: p, model: big}]}\n"
    )
    try:
        return list(parse_document(text.encode()).warnings)
    except DocumentError as error:
        return list(error.problems)


def show(problem: Problem) -> str:
    return str(problem).removeprefix(f"{problem.where}: ").removeprefix("warning: ")


WAYS_AWS = "exactly one of access_key, profile, instance, bearer, web_identity"
WAYS_AZURE = (
    "exactly one of api_key, client_secret, certificate, managed_identity, workload_identity"
)
WAYS_GOOGLE = "exactly one of service_account, federation, application_default, api_key"

CASES = [
    Case("nothing", "aws", "credentials: []",
         ["providers.p.credentials: no credential; expected at least one"]),
    Case("an empty one", "aws", "credentials: [{}]",
         ["providers.p.credentials[0]: no way to a credential; expected " + WAYS_AWS]),
    Case("two ways", "aws", "credentials: [{profile: a, instance: true}]",
         ["providers.p.credentials[0]: several ways to one credential; expected " + WAYS_AWS
          + "; found profile and instance"]),
    Case("half a key", "aws", "credentials: [{access_key: env:A}]",
         ["providers.p.credentials[0].secret_key: missing key; expected a static key needs it"]),
    Case("the other half", "aws", "credentials: [{secret_key: env:A}]",
         ["providers.p.credentials[0].access_key: missing key; expected a static key needs it"]),
    Case("only a session", "aws", "credentials: [{session_token: env:A}]",
         ["providers.p.credentials[0].access_key: missing key; expected a static key needs it",
          "providers.p.credentials[0].secret_key: missing key; expected a static key needs it"]),
    Case("a role of nobody", "aws", f"credentials: [{{role: '{ROLE}'}}]",
         ["providers.p.credentials[0].role: a role needs somebody who assumes it; expected "
          "access_key and secret_key, profile, instance or web_identity beside it"]),
    Case("a bearer that assumes", "aws", f"credentials: [{{bearer: env:A, role: '{ROLE}'}}]",
         ["providers.p.credentials[0].role: a bearer key cannot assume a role"]),
    Case("an identity for nothing", "aws", "credentials: [{web_identity: token}]",
         ["providers.p.credentials[0].role: missing key; expected web_identity needs it"]),
    Case("an external id for nobody", "aws",
         "credentials: [{instance: true, external_id: env:X}]",
         ["providers.p.credentials[0].external_id: no role asks for it"]),
    Case("an external id for a web identity", "aws",
         f"credentials: [{{web_identity: t, role: '{ROLE}', external_id: env:X}}]",
         ["providers.p.credentials[0].external_id: a web identity is not asked for it"]),
    Case("not a role", "aws", "credentials: [{instance: true, role: admin}]",
         ["providers.p.credentials[0].role: not the ARN of a role; expected "
          "arn:aws:iam::ACCOUNT:role/NAME; found admin"]),
    Case("not a session name", "aws",
         f"credentials: [{{instance: true, role: '{ROLE}', session_name: 'a b'}}]",
         ["providers.p.credentials[0].session_name: not a session name; expected 2 to 64 letters, "
          "digits and _+=,.@-; found a b"]),
    Case("the same twice", "aws", "credentials: [{profile: a}, {profile: a}]",
         ["providers.p.credentials[1]: the same credential twice; expected one entry"]),
    Case("a slip in a key", "aws", "credentials: [{acces_key: env:A, secret_key: env:B}]",
         ["providers.p.credentials[0].acces_key: unknown key; did you mean access_key?"]),
    Case("no way to Entra", "azure", "credentials: [{tenant_id: t, client_id: c}]",
         ["providers.p.credentials[0]: no way to a credential; expected " + WAYS_AZURE]),
    Case("a secret of nobody", "azure", "credentials: [{client_secret: env:A, tenant_id: t}]",
         ["providers.p.credentials[0].client_id: missing key; expected client_secret needs it"]),
    Case("a key with a tenant", "azure", "credentials: [{api_key: env:A, tenant_id: t}]",
         ["providers.p.credentials[0].tenant_id: nothing asks for it; expected one of "
          "client_secret, certificate, workload_identity beside it, or no such key"]),
    Case("two ways at Google", "google",
         "credentials: [{api_key: env:A, application_default: true}]",
         ["providers.p.credentials[0]: several ways to one credential; expected " + WAYS_GOOGLE
          + "; found application_default and api_key"]),
    Case("a key without its certificate", "openai",
         "credentials: [{api_key: env:A}]\negress: {certificate_key: k.pem}",
         ["providers.p.egress.certificate_key: a key without its certificate; expected "
          "egress.certificate beside it"]),
    Case("a password for no proxy", "openai",
         "credentials: [{api_key: env:A}]\negress: {proxy_authorization: env:P}",
         ["providers.p.egress.proxy_authorization: no proxy to show it to; expected egress.proxy "
          "beside it"]),
    Case("TLS to a proxy", "openai",
         "credentials: [{api_key: env:A}]\negress: {proxy: 'https://proxy:3128'}",
         ["providers.p.egress.proxy: TLS to the proxy itself is not spoken; expected "
          "http://HOST:PORT"]),
    Case("a proxy with a path", "openai",
         "credentials: [{api_key: env:A}]\negress: {proxy: 'http://proxy:3128/x'}",
         ["providers.p.egress.proxy: a proxy has no path; expected http://HOST:PORT"]),
    Case("limits of zero", "openai", "credentials: [{api_key: env:A}]\nlimits: {rpm: 0}",
         ["providers.p.limits.rpm: zero would let nothing through; expected a number from 1 up, or "
          "no such key"]),
    Case("fewer tokens than requests", "openai",
         "credentials: [{api_key: env:A}]\nlimits: {rpm: 600, tpm: 60}",
         ["providers.p.limits.tpm: fewer tokens than requests in a minute"]),
    Case("no version path", "openai",
         "credentials: [{api_key: env:A}]\nendpoint: https://api.openai.com",
         ["providers.p.endpoint: no version path; expected https://api.openai.com/v1"]),
    Case("not a version", "azure", "credentials: [{api_key: env:A}]\napi_version: v1",
         ["providers.p.api_version: not a version of the API; expected such as 2025-04-01-preview, "
          "or none for the v1 API; found v1"]),
    Case("spills into itself", "azure", "credentials: [{api_key: env:A}]\nspillover: {big: big}",
         ["providers.p.spillover.big: a deployment spills over into itself; expected the name of "
          "another deployment"]),
    Case("spills from an unknown one", "azure",
         "credentials: [{api_key: env:A}]\nspillover: {bog: other}",
         ["providers.p.spillover.bog: no route uses this model of the provider; found bog; did you "
          "mean big?"]),
    Case("provisioned for nothing", "azure",
         """\
         credentials: [{api_key: env:A}]
         provisioned: [{models: [], hourly: 1 USD, from: 2026-01-02, until: 2026-01-01, units: 0}]
         """,
         ["providers.p.provisioned[0].models: no model; expected at least one",
          "providers.p.provisioned[0].until: it ends before it begins; expected a day after "
          "2026-01-02; found 2026-01-01",
          "providers.p.provisioned[0].units: no unit; expected at least 1"]),
    Case("provisioned for an unknown one", "azure",
         """\
         credentials: [{api_key: env:A}]
         provisioned: [{models: [bigg], hourly: 1 USD, from: 2026-01-02}]
         """,
         ["providers.p.provisioned[0].models[0]: no route uses this model of the provider; found "
          "bigg; did you mean big?"]),
    Case("tiers that do not ascend", "openai",
         """\
         credentials: [{api_key: env:A}]
         prices:
           big:
             - {from: 2026-01-01, input: 1 USD/Mtok, output: 1 USD/Mtok, tiers: [
                 {above: 2k, input: 1 USD/Mtok, output: 1 USD/Mtok},
                 {above: 1k, input: 1 USD/Mtok, output: 1 USD/Mtok}]}
         """,
         ["providers.p.prices.big[0].tiers: tiers do not ascend"]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_fault_is_said_once_with_what_would_be_right(case: Case) -> None:
    found = problems_of(case.kind, case.given)
    assert [show(problem) for problem in found] == case.want
    assert all(problem.line > 3 and problem.column > 4 for problem in found)


@pytest.mark.parametrize(
    ("kind", "credentials"),
    [
        ("aws", "[{access_key: env:A, secret_key: env:B, session_token: env:C}]"),
        ("aws", f"[{{access_key: env:A, secret_key: env:B, role: '{ROLE}', external_id: env:X}}]"),
        ("aws", f"[{{web_identity: token, role: '{ROLE}'}}]"),
        ("aws", "[{bearer: env:A}, {profile: b}, {instance: true}]"),
        ("azure", "[{api_key: env:A}, {managed_identity: true, client_id: c}]"),
        ("azure", "[{certificate: c.pem, tenant_id: t, client_id: c}]"),
        ("azure", "[{workload_identity: token, tenant_id: t, client_id: c}]"),
        ("google", "[{service_account: env:A}, {federation: f.json}]"),
        ("google", "[{application_default: true}, {api_key: env:A}]"),
        ("openai", "[{api_key: env:A}, {api_key: env:B}]"),
    ],
)
def test_every_way_to_a_credential_is_taken(kind: str, credentials: str) -> None:
    assert problems_of(kind, f"credentials: {credentials}") == []


def test_only_express_mode_needs_no_project() -> None:
    text = """\
plane: acme
providers:
  p: {kind: vertex, credentials: [{api_key: env:A}%s]}
routing:
  chat: {targets: [{provider: p, model: big}]}
"""
    assert parse_document((text % "").encode()).warnings == ()
    with pytest.raises(DocumentError, match=r"3:6: providers\.p\.project: no project"):
        parse_document((text % ", {application_default: true}").encode())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("command:pass show azure", "command:pass show azure"),
        ("command:./give me", "command:/etc/plane/give me"),
        ("command:'./give me' 'a  b'", "command:'/etc/plane/give me' 'a  b'"),
        ("command:/bin/echo x", "command:/bin/echo x"),
        ("command:'./unclosed", "command:'./unclosed"),
        ("file:keys/a", "file:/etc/plane/keys/a"),
        ("vault:secret/data/x#key", "vault:secret/data/x#key"),
        ("aws-secretsmanager:x/y#key", "aws-secretsmanager:x/y#key"),
    ],
)
def test_programs_and_files_are_taken_from_the_documents_folder(written: str, read: str) -> None:
    key = json.dumps(written)
    text = f"plane: acme\nproviders: {{p: {{kind: openai, credentials: [{{api_key: {key}}}]}}}}\n"
    provider = parse_document(text.encode(), folder=Path("/etc/plane")).plane.providers["p"]
    assert provider.credentials[0] == KeyCredential(api_key=read)
