"""What is asked of a provider to try a credential, and what its answers mean: nothing is spent."""

from typing import NamedTuple

import msgspec
import pytest

from towplane.providers.adapter import Place
from towplane.providers.adapters import PROVIDERS, adapter_of
from towplane.providers.probes import judge_probe, probe_of


@pytest.mark.parametrize(
    ("kind", "options", "model", "want"),
    [
        ("openai-compatible", {}, "m", "GET /models"),
        ("openai", {"organization": "o"}, "m", "GET /models"),
        ("anthropic", {}, "m", "GET /v1/models?limit=1"),
        ("azure-openai", {}, "m", "GET /openai/v1/models"),
        (
            "azure-openai",
            {"api_version": "2024-10-21"},
            "m",
            "GET /openai/models?api-version=2024-10-21",
        ),
        ("bedrock", {"region": "x"}, "a/b:1", "POST /model/a%2Fb%3A1/converse"),
        (
            "vertex",
            {"project": "p", "location": "eu"},
            "gemini-2.5-pro",
            "POST /v1/projects/p/locations/eu/publishers/google/models/gemini-2.5-pro:countTokens",
        ),
    ],
)
def test_what_is_asked(kind: str, options: dict[str, str], model: str, want: str) -> None:
    probe = probe_of(kind, Place("p/m", model, "", options), adapter_of(kind))
    assert f"{probe.method} {probe.rendered.path}" == want
    if kind == "openai":
        assert probe.rendered.headers == (("openai-organization", "o"),)
    if kind == "bedrock":
        # No message: refused for its form before a model could run.
        assert msgspec.json.decode(probe.rendered.body) == {"messages": []}


def test_every_kind_can_be_tried() -> None:
    place = Place("p/m", "gemini-x", "", {"project": "p", "location": "us", "region": "x"})
    for kind in PROVIDERS:
        assert probe_of(kind, place, adapter_of(kind)).method in ("GET", "POST")


class Case(NamedTuple):
    kind: str
    status: int
    body: bytes
    want: str
    error_type: str = ""


CASES = [
    Case("openai", 200, b"{}", "works"),
    Case("openai", 429, b"{}", "works and is at its limit now (429)"),
    Case("openai", 401, b'{"error": {"message": "Incorrect\\n API key"}}',
         "refused 401: Incorrect API key"),
    Case("openai", 402, b"", "refused 402"),
    Case("openai", 500, b"<html>", "unclear it answered 500"),
    Case("openai", 404, b'{"message": "no"}', "unclear 404: no"),
    Case("openai-compatible", 404, b"",
         "unclear it has no list of models (404), so nothing asked the key"),
    Case("anthropic", 403, b'{"type": "error", "error": {"type": "x", "message": "no"}}',
         "refused 403: no"),
    Case("azure-openai", 401, b'{"statusCode": 401, "message": "Unauthorized."}',
         "refused 401: Unauthorized."),
    Case("bedrock", 400, b'{"message": "bad"}', "works", "ValidationException:http://x"),
    Case("bedrock", 400, b'{"__type": "com.amazon.coral#ValidationException"}', "works"),
    Case("bedrock", 404, b'{"message": "no model"}', "works but: no model",
         "ResourceNotFoundException"),
    Case("bedrock", 403, b'{"message": "no"}', "refused 403: AccessDeniedException: no",
         "AccessDeniedException"),
    Case("bedrock", 403, b'{"Message": "x"}', "refused 403: UnrecognizedClientException: x",
         "UnrecognizedClientException"),
    Case("bedrock", 400, b"{}", "unclear 400: IncompleteSignatureException",
         "IncompleteSignatureException"),
    Case("bedrock", 200, b"{}", "works"),
    Case("vertex", 404, b'[{"error": {"code": 404, "message": "no model"}}]',
         "works but: no model"),
    Case("vertex", 403, b'{"error": {"message": "denied"}}', "refused 403: denied"),
    Case("vertex", 400, b'{"error": {"message": "API key not valid.", "details": [{"reason": '
         b'"API_KEY_INVALID"}]}}', "refused 400: API key not valid."),
    Case("vertex", 400, b"[]", "unclear it answered 400"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.status}-{case.want}")
def test_what_an_answer_means(case: Case) -> None:
    verdict = judge_probe(case.kind, case.status, case.error_type, case.body)
    assert f"{verdict.state} {verdict.say}".strip() == case.want
