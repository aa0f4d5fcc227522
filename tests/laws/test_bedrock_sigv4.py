"""Signatures: ours, botocore's and the emulator's own computation of them agree."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.providers.adapter import Credential, Place, Rendered
from towplane.providers.bedrock.families import path_of
from towplane.providers.bedrock.sigv4 import sign
from towplane.testing.bedrock.signature import Account, AuthError, check_signature
from towplane.testing.framing import Message

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
HOST = "bedrock-runtime.eu-central-1.amazonaws.com"
REGION = "eu-central-1"
SONNET = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc1def2"


def theirs(rendered: Rendered, place: Place, aws: tuple[str, str, str], wall: float) -> str:
    headers = {"host": HOST, "content-type": "application/json", **dict(rendered.headers)}
    url = f"https://{HOST}{place.path}{rendered.path}"
    request = AWSRequest(method="POST", url=url, data=rendered.body, headers=headers)
    credentials = Credentials(aws[0], aws[1], aws[2] or None)
    signer = SigV4Auth(credentials, "bedrock", place.options["region"])
    stamp = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%dT%H%M%SZ")
    request.context["timestamp"] = stamp  # `add_auth` takes the clock's; the rest is as there
    signer._modify_request_before_signing(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return str(request.headers["Authorization"])


def ours(rendered: Rendered, place: Place, aws: tuple[str, str, str], wall: float) -> str:
    headers = dict(sign(Credential("p#1", aws=aws), b"POST", HOST, rendered, place, wall))
    assert headers.get("x-amz-security-token", "") == aws[2]
    return headers["authorization"]


models = st.one_of(
    st.sampled_from([SONNET, ARN, "amazon.nova-2-lite-v1:0", "openai.gpt-oss-120b-1:0"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60),
)
words = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(
    lambda value: value.strip() or "x"
)


@settings(max_examples=200, deadline=None)
@given(
    model=models,
    action=st.sampled_from(["converse", "converse-stream", "invoke", "count-tokens"]),
    path=st.sampled_from(["", "/behind", "/a b/ü".replace(" ", "%20").replace("ü", "%C3%BC")]),
    query=st.sampled_from(["", "?b=2&a=1", "?x="]),
    body=st.binary(max_size=300),
    secret=words,
    token=st.one_of(st.just(""), words),
    own=st.dictionaries(
        st.sampled_from(["X-Amzn-Bedrock-Service-Tier", "x-amz-meta", "accept"]), header_values
    ),
    wall=st.integers(1_500_000_000, 2_000_000_000),
)
def test_it_signs_as_botocore_does(
    model: str, action: str, path: str, query: str, body: bytes, secret: str, token: str,
    own: dict[str, str], wall: int,
) -> None:  # fmt: skip
    """Any model id, path, query, headers, secret, session and second."""
    place = Place("t", model, path, {"region": REGION})
    rendered = Rendered(path_of(model, action) + query, body, tuple(own.items()))
    aws = ("AKIDEXAMPLE", secret, token)
    assert ours(rendered, place, aws, wall) == theirs(rendered, place, aws, wall)


def test_botocore_encodes_a_model_as_we_do() -> None:
    """`:` and `/` once in the URL, twice in what is signed."""
    assert path_of(ARN, "converse") == "/model/" + quote(ARN, safe="-._~") + "/converse"
    assert "%3A" in path_of(ARN, "converse")
    assert "%2F" in path_of(ARN, "converse")


def request(aws: tuple[str, str, str], wall: float = NOW, region: str = REGION) -> Message:
    """A signed request, as it arrives."""
    place = Place("t", SONNET, "", {"region": region})
    rendered = Rendered(path_of(SONNET, "converse"), b'{"messages":[]}')
    headers = [
        ("host", HOST),
        *sign(Credential("p#1", aws=aws), b"POST", HOST, rendered, place, wall),
        ("content-type", "application/json"),
        ("user-agent", "towplane"),
    ]
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return Message(b"", raw, b"POST", rendered.path.encode(), body=bytearray(rendered.body))


ACCOUNTS = {
    "AKID": Account("AKID", "secret"),
    "ASIA": Account("ASIA", "other", "session", NOW + 60),
}


@pytest.mark.parametrize(
    ("key", "secret", "token"), [("AKID", "secret", ""), ("ASIA", "other", "session")]
)
def test_the_emulator_lets_in_who_signs_well(key: str, secret: str, token: str) -> None:
    found = check_signature(request((key, secret, token)), ACCOUNTS, REGION, NOW)
    assert found.access_key == key


@pytest.mark.parametrize(
    ("message", "now", "name", "say"),
    [
        (
            request(("NOBODY", "secret", "")), NOW,
            "UnrecognizedClientException", "The security token included in the request is invalid.",
        ),
        (
            request(("AKID", "wrong", "")), NOW,
            "InvalidSignatureException", "The request signature we calculated does not match",
        ),
        (
            request(("ASIA", "other", "session")), NOW + 61,
            "ExpiredTokenException", "The security token included in the request is expired",
        ),
        (
            request(("ASIA", "other", "another")), NOW,
            "UnrecognizedClientException", "The security token included in the request is invalid.",
        ),
        (
            request(("AKID", "secret", "")), NOW + 301,
            "InvalidSignatureException",
            "Signature expired: 20261123T120000Z is now earlier than 20261123T120001Z "
            "(20261123T120501Z - 5 min.)",
        ),
        (
            request(("AKID", "secret", "")), NOW - 301,
            "InvalidSignatureException",
            "Signature not yet current: 20261123T120000Z is still later than 20261123T115959Z",
        ),
        (
            request(("AKID", "secret", ""), region="us-east-1"), NOW,
            "InvalidSignatureException", "Credential should be scoped to a valid region",
        ),
    ],
)  # fmt: skip
def test_the_emulator_refuses_as_aws_does(
    message: Message, now: float, name: str, say: str
) -> None:
    with pytest.raises(AuthError) as refused:
        check_signature(message, ACCOUNTS, REGION, now)
    assert refused.value.name == name
    assert refused.value.message.startswith(say)


@pytest.mark.parametrize("part", ["body", "path", "x-amz-date", "content-type", "host"])
def test_whatever_is_signed_cannot_be_changed(part: str) -> None:
    message = request(("AKID", "secret", ""))
    if part == "body":
        message.body += b" "
    elif part == "path":
        message.path += b"x"
    else:
        stamp = b"20261123T120001Z" if part == "x-amz-date" else b"other"
        message.headers = [
            (name, stamp if name == part.encode() else value) for name, value in message.headers
        ]
    with pytest.raises(AuthError):
        check_signature(message, ACCOUNTS, REGION, NOW)


def test_the_key_of_a_day_ends_with_the_day() -> None:
    """A cached key must not outlive its day."""
    place, rendered = Place("t", SONNET, "", {"region": REGION}), Rendered("/model/m/invoke", b"{}")
    for wall in (NOW, NOW + 43_199, NOW + 43_200, NOW + 90_000, NOW):
        aws = ("AKID", "secret", "")
        assert ours(rendered, place, aws, wall) == theirs(rendered, place, aws, wall)


def test_a_secret_does_not_show() -> None:
    credential = Credential("p#1", aws=("AKID", "very secret", "session"))
    assert "secret" not in repr(credential)
    assert "session" not in repr(credential)
