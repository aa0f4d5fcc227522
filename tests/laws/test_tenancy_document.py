"""What can be wrong with tenants in a document: patterns, projects, alerts."""

import pytest

from towplane.document.load import parse_document
from towplane.document.problems import DocumentError

BASE = """\
plane: p
providers:
  up: {kind: openai-compatible, endpoint: "https://up.example/v1", credentials: [{api_key: env:X}]}
routing:
  gpt-small: {targets: [{provider: up}]}
  gpt-large: {targets: [{provider: up}]}
"""


def found(tenants: str) -> list[str]:
    """What is said about a document, errors and warnings."""
    try:
        document = parse_document((BASE + tenants).encode())
    except DocumentError as error:
        return [f"error {one.path}: {one.what}" for one in error.problems]
    return [f"warning {one.path}: {one.what}" for one in document.warnings]


def test_everything_of_a_tenant_can_be_said() -> None:
    assert (
        found("""\
tenant_alerts: {at: [50%, 80%], webhook: "https://hook.example/x", secret: env:S}
tenants:
  acme:
    priority: high
    models: ["gpt-*"]
    limits: {rpm: 600, rpd: 10k, tpd: 5M, requests_per_month: 200k, mode: soft}
    budget: {monthly: 100 USD, mode: soft}
    unpriced: allow
    alerts: {at: [95%]}
    projects:
      web: {limits: {rpd: 1k}, budget: {daily: 1 USD}, models: [gpt-small], priority: low}
""")
        == []
    )


@pytest.mark.parametrize(
    ("tenants", "said"),
    [
        ("tenants: {a: {models: [gpt-smal]}}", "error tenants.a.models[0]: no such route"),
        (
            "tenants: {a: {models: [claude-*]}}",
            "warning tenants.a.models[0]: matches no route, so it allows nothing",
        ),
        (
            "tenants: {a: {projects: {w: {models: [x]}}}}",
            "error tenants.a.projects.w.models[0]: no such route",
        ),
        (
            'tenant_alerts: {webhook: "https://x.example/"}',
            "error tenant_alerts.webhook: its receiver could not tell whose messages are true",
        ),
        (
            'tenants: {a: {alerts: {webhook: "http://x.example/", secret: env:S}}}',
            "warning tenants.a.alerts.webhook: anybody on the way can read what is posted there",
        ),
    ],
)
def test_what_is_likely_not_meant_is_said(tenants: str, said: str) -> None:
    assert said in found(tenants)


@pytest.mark.parametrize(
    "tenants",
    [
        "tenants: {a: {priority: urgent}}",
        "tenants: {a: {limits: {rph: 5}}}",
        "tenants: {a: {limits: {mode: none}}}",
        "tenants: {a: {alerts: {at: [120%]}}}",
        "tenants: {a: {projects: {w: {unpriced: allow}}}}",
    ],
)
def test_what_is_not_known_is_an_error(tenants: str) -> None:
    assert any(line.startswith("error") for line in found(tenants))
