"""Credentials as the clouds' own packages get them: botocore, azure-identity, google-auth, run
against issuers that verify what the originals verify."""

import datetime
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from towplane.parts.errors import PlaneError
from towplane.providers.credentials import Issued, open_credentials
from towplane.providers.credentials.source import NotIssued
from towplane.providers.spec import (
    AzureCredential,
    AzureOpenAISpec,
    BedrockCredential,
    BedrockSpec,
    Egress,
    VertexCredential,
    VertexSpec,
)
from towplane.testing.bedrock.server import FakeBedrock
from towplane.testing.bedrock.signature import Account
from towplane.testing.issuers import FakeIssuers
from towplane.testing.openai.azure import Azure
from towplane.testing.openai.server import OpenAIEmulator
from towplane.testing.plane import RunningPlane, wait_until
from towplane.testing.proxy import FakeProxy
from towplane.testing.tls import make_certificate
from towplane.testing.vertex.server import VertexEmulator

ROLE = "arn:aws:iam::123456789012:role/models"
SECRETS = {
    "env:KEY": "AKIDBASE",
    "env:SECRET": "base-secret",
    "env:XID": "external-id-7",
    "env:WRONG": "another-secret",
    "env:CLIENT": "entra-client-secret",
    "env:PROXY": "proxy-user:proxy-password",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine that runs the tests is found."""
    import os

    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "IDENTITY_", "GCE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("NO_GCE_CHECK", "false")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))


@pytest.fixture
def issuers(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIssuers]:
    with FakeIssuers(roles={ROLE: None}) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", found.url)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", found.url)
        yield found


def bedrock(*, egress: Egress = Egress(), **one: Any) -> Issued:  # noqa: B008  # frozen
    spec = BedrockSpec(region="eu-central-1", credentials=[BedrockCredential(**one)], egress=egress)
    return open_credentials("aws", spec, SECRETS.__getitem__)[0].issue()


def lives(issued: Issued, seconds: float) -> bool:
    assert issued.expires_at is not None
    return abs(issued.expires_at - time.time() - seconds) < 60


def test_a_role_is_assumed_with_static_keys_and_an_external_id(issuers: FakeIssuers) -> None:
    issuers.roles[ROLE] = "external-id-7"
    keys: dict[str, Any] = {"access_key": "env:KEY", "secret_key": "env:SECRET", "role": ROLE}
    found = bedrock(**keys, external_id="env:XID", session_name="acme")
    assert found.aws == ("ASIA1", "session-secret-1", "session-token-1")
    assert lives(found, 3600)
    assert issuers.asked == [f"AssumeRole {ROLE} as acme"]
    with pytest.raises(NotIssued, match="AccessDenied"):
        bedrock(**keys)


def test_a_wrong_secret_is_refused_and_not_repeated(issuers: FakeIssuers) -> None:
    with pytest.raises(NotIssued, match="SignatureDoesNotMatch") as caught:
        bedrock(access_key="env:KEY", secret_key="env:WRONG", role=ROLE)
    assert "another-secret" not in f"{caught.value!r}{caught.value}{caught.value.next_step}"


def test_a_profile_is_read_again_and_may_be_the_start_of_a_role(
    issuers: FakeIssuers, tmp_path: Path
) -> None:
    file = tmp_path / "aws"
    file.write_text("[p]\naws_access_key_id = AKIDBASE\naws_secret_access_key = base-secret\n")
    assert bedrock(profile="p") == Issued(aws=("AKIDBASE", "base-secret", ""))
    assert bedrock(profile="p", role=ROLE).aws is not None
    file.write_text("[p]\naws_access_key_id = AKIDNEXT\naws_secret_access_key = next\n")
    assert bedrock(profile="p").aws == ("AKIDNEXT", "next", "")
    with pytest.raises(NotIssued, match=r"profile .*other.* could not be found"):
        bedrock(profile="other")


def test_a_web_identity_is_exchanged_with_the_token_as_it_is_now(
    issuers: FakeIssuers, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("web-identity-token\n")
    assert bedrock(web_identity=str(token), role=ROLE).aws is not None
    token.write_text("an old one")
    with pytest.raises(NotIssued, match="InvalidIdentityToken") as caught:
        bedrock(web_identity=str(token), role=ROLE)
    assert "an old one" not in str(caught.value)
    with pytest.raises(NotIssued, match="No such file"):
        bedrock(web_identity=str(tmp_path / "none"), role=ROLE)


def test_the_role_of_an_instance_comes_from_its_metadata_service(issuers: FakeIssuers) -> None:
    found = bedrock(instance=True)
    assert found.aws == ("ASIAM1", "machine-secret", "machine-token")
    assert lives(found, 3600)
    assert bedrock(instance=True, role=ROLE).aws == (
        "ASIA3", "session-secret-3", "session-token-3",
    )  # fmt: skip
    assert issuers.asked == ["instance role", "instance role", f"AssumeRole {ROLE} as towplane"]


def test_the_role_of_a_task_comes_from_its_container(
    issuers: FakeIssuers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ECS and EKS Pod Identity; keys that lie in the environment are not the machine's."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{issuers.url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    assert bedrock(instance=True).aws == ("ASIAM1", "machine-secret", "machine-token")
    assert issuers.asked == ["container role"]


def test_the_role_of_a_pod_comes_from_its_web_identity(
    issuers: FakeIssuers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """IRSA: the variables that EKS sets."""
    (tmp_path / "token").write_text("web-identity-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    found = bedrock(instance=True)
    assert found.aws == ("ASIA1", "session-secret-1", "session-token-1")
    assert lives(found, 3600)


def test_a_machine_without_a_role_says_so(
    issuers: FakeIssuers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NotIssued, match="this machine has no credentials of AWS"):
        bedrock(instance=True)


def test_tokens_are_fetched_through_the_providers_proxy(issuers: FakeIssuers) -> None:
    with FakeProxy(user="proxy-user:proxy-password") as proxy:
        way = Egress(proxy=f"http://127.0.0.1:{proxy.address[1]}", proxy_authorization="env:PROXY")
        keys: dict[str, Any] = {"access_key": "env:KEY", "secret_key": "env:SECRET", "role": ROLE}
        assert bedrock(egress=way, **keys).aws is not None
        assert proxy.asked == [f"POST {issuers.url}/"]


# Azure


@pytest.fixture
def entra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeIssuers]:
    """azure-identity speaks https only, so it gets an authority of its own to trust."""
    made = make_certificate(tmp_path, "entra")
    with FakeIssuers(tls=made.server_context()) as found:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", found.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.certificate))
        yield found


def azure(**one: Any) -> Issued:
    spec = AzureOpenAISpec(
        endpoint="https://acme.openai.azure.com", credentials=[AzureCredential(**one)]
    )
    return open_credentials("azure", spec, SECRETS.__getitem__)[0].issue()


APP = {"tenant_id": "0a1b2c3d-0000-4000-8000-000000000001", "client_id": "app-1"}
SCOPE = "https://cognitiveservices.azure.com/.default"


def test_a_client_secret_gets_a_token_of_entra(entra: FakeIssuers) -> None:
    found = azure(**APP, client_secret="env:CLIENT")
    assert found.headers == (("authorization", "Bearer entra-token-1"),)
    assert lives(found, 3600)
    assert azure(**APP, client_secret="env:CLIENT").headers[0][1] == "Bearer entra-token-2"
    scopes = entra.asked[0].split(" ", 3)
    assert scopes[:3] == [APP["tenant_id"], "app-1", "secret"]
    assert SCOPE in scopes[3]
    with pytest.raises(NotIssued, match="AADSTS7000215") as caught:
        azure(**APP, client_secret="env:WRONG")
    assert "another-secret" not in f"{caught.value}{caught.value.next_step}"


def test_a_certificate_signs_an_assertion(entra: FakeIssuers, tmp_path: Path) -> None:
    key, pem = make_key_and_certificate()
    (tmp_path / "app.pem").write_bytes(pem)
    entra.public_keys["app-1"] = key.public_key()
    found = azure(**APP, certificate=str(tmp_path / "app.pem"))
    assert found.headers == (("authorization", "Bearer entra-token-1"),)
    entra.public_keys["app-1"] = make_key_and_certificate()[0].public_key()
    with pytest.raises(NotIssued, match="AADSTS"):
        azure(**APP, certificate=str(tmp_path / "app.pem"))


def test_a_workload_identity_is_exchanged(entra: FakeIssuers, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("web-identity-token")
    found = azure(**APP, workload_identity=str(tmp_path / "token"))
    assert found.headers == (("authorization", "Bearer entra-token-1"),)


def test_a_managed_identity_is_the_machines(
    issuers: FakeIssuers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As App Service and Container Apps offer it, the machine's own and a user-assigned one."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{issuers.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "identity-header")
    found = azure(managed_identity=True)
    assert found.headers == (("authorization", "Bearer managed-token-1"),)
    assert lives(found, 3600)
    azure(managed_identity=True, client_id="user-assigned")
    resource = "https://cognitiveservices.azure.com"
    assert issuers.asked == [
        f"managed identity {resource}",
        f"managed identity user-assigned {resource}",
    ]


# Google


def vertex(secrets: dict[str, str], **one: Any) -> Issued:
    spec = VertexSpec(project="acme", credentials=[VertexCredential(**one)])
    return open_credentials("google", spec, secrets.__getitem__)[0].issue()


def make_key_and_certificate() -> tuple[rsa.RSAPrivateKey, bytes]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key, private + made.public_bytes(serialization.Encoding.PEM)


def account(issuers: FakeIssuers, key: rsa.RSAPrivateKey) -> str:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "acme",
            "private_key_id": "k1",
            "private_key": private.decode(),
            "client_email": "models@acme.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{issuers.url}/google/token",
        },
        indent=2,
    )


def test_a_service_account_signs_for_a_token(issuers: FakeIssuers) -> None:
    key, _ = make_key_and_certificate()
    issuers.public_keys["models@acme.iam.gserviceaccount.com"] = key.public_key()
    found = vertex({"env:SA": account(issuers, key)}, service_account="env:SA")
    assert found.headers == (("authorization", "Bearer google-token-1"),)
    assert lives(found, 3600)
    other, _ = make_key_and_certificate()
    with pytest.raises(NotIssued, match="Invalid JWT Signature") as caught:
        vertex({"env:SA": account(issuers, other)}, service_account="env:SA")
    assert "PRIVATE KEY" not in str(caught.value)


def test_what_is_no_service_account_is_not_repeated(issuers: FakeIssuers) -> None:
    for text in ("not-json-but-secret", '{"private_key": "very-secret"}', '{"type": 1}'):
        with pytest.raises(PlaneError) as caught:
            vertex({"env:SA": text}, service_account="env:SA")
        assert "secret" not in caught.value.say


def test_federation_exchanges_a_token_of_another_cloud(
    issuers: FakeIssuers, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("web-identity-token")
    audience = (
        "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q"
    )
    config = {
        "type": "external_account",
        "audience": audience,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{issuers.url}/google/sts",
        "credential_source": {"file": str(tmp_path / "token")},
    }
    (tmp_path / "federation.json").write_text(json.dumps(config))
    found = vertex({}, federation=str(tmp_path / "federation.json"))
    assert found.headers == (("authorization", "Bearer federated-token-1"),)
    assert lives(found, 3600)
    assert issuers.asked == [f"federation {audience}"]


def test_the_application_default_is_a_users_login_or_the_metadata_server(
    issuers: FakeIssuers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = issuers.url.removeprefix("http://")
    # Its own variable GCE_METADATA_HOST is read when the module is, which may be before.
    metadata = pytest.importorskip("google.auth.compute_engine._metadata")
    monkeypatch.setenv("GCE_METADATA_IP", host)
    monkeypatch.setattr(metadata, "_GCE_METADATA_HOST", host)
    found = vertex({}, application_default=True)
    assert found.headers == (("authorization", "Bearer metadata-token-1"),)
    assert lives(found, 3600)
    key, _ = make_key_and_certificate()
    issuers.public_keys["models@acme.iam.gserviceaccount.com"] = key.public_key()
    (tmp_path / "sa.json").write_text(account(issuers, key))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "sa.json"))
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "billed")
    found = vertex({}, application_default=True)
    assert found.headers[1:] == (("x-goog-user-project", "billed"),)
    assert issuers.asked == ["metadata server", "service account"]


# In a running plane


def test_a_plane_renews_what_it_was_issued(entra: FakeIssuers, tmp_path: Path) -> None:
    """Tokens of Entra and Google and a role of AWS, each short-lived: asked for at the start,
    renewed while the plane runs, accepted by the doubles of the providers, which know no other."""
    many = range(1, 50)
    entra.life_s = 12.0
    azure = Azure(tokens={f"entra-token-{number}": math.inf for number in many})
    sessions = tuple(
        Account(f"ASIA{number}", f"session-secret-{number}", f"session-token-{number}")
        for number in many
    )
    with (
        FakeIssuers(roles={ROLE: "external-id-7"}, life_s=12.0) as sts,
        OpenAIEmulator(azure=azure) as openai,
        FakeBedrock(accounts=sessions) as aws,
        VertexEmulator() as google,
    ):
        google.grants.life_s = 12.0
        account = tmp_path / "account.json"
        account.write_text(json.dumps(google.grants.service_account(google.origin)))
        keys = {"access_key": "env:KEY", "secret_key": "env:SECRET"}
        providers = {
            "azure": {
                "kind": "azure-openai",
                "endpoint": openai.origin,
                "credentials": [{**APP, "client_secret": "env:CLIENT"}],
            },
            "aws": {
                "kind": "bedrock",
                "region": "us-east-1",
                "endpoint": aws.origin,
                "credentials": [{**keys, "role": ROLE, "external_id": "env:XID"}],
            },
            "google": {
                "kind": "vertex",
                "project": "acme",
                "location": "europe-west4",
                "endpoint": google.origin,
                "credentials": [{"service_account": f"file:{account}"}],
            },
        }
        models = {
            "azure": "gpt-test",
            "aws": "amazon.nova-lite-v1:0",
            "google": "gemini-2.5-flash",
        }
        text = yaml.safe_dump(
            {
                "plane": "story",
                "data_dir": str(tmp_path / "data"),
                "gateway": {"listen": "127.0.0.1:0"},
                "admin": {"listen": "127.0.0.1:0"},
                "providers": providers,
                "routing": {
                    name: {"targets": [{"provider": name, "model": model}]}
                    for name, model in models.items()
                },
                "tenants": {"acme": {}},
            }
        )
        env = {name.removeprefix("env:"): value for name, value in SECRETS.items()}
        env["AWS_ENDPOINT_URL_STS"] = sts.url
        with RunningPlane(text, tmp_path, env=env) as plane:
            headers = {"authorization": f"Bearer {plane.key('acme')}"}

            def chat(model: str) -> tuple[int, str]:
                url = f"{plane.base_url}/chat/completions"
                body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
                answer = httpx.post(url, headers=headers, json=body, timeout=30)
                return answer.status_code, answer.text

            for name in models:
                assert chat(name)[0] == 200, chat(name)
            wait_until(lambda: min(len(entra.asked), len(sts.asked), google.grants.asked) >= 2, 60)
            for name in models:
                assert chat(name)[0] == 200, chat(name)
            view = plane.call("GET", "/providers")["providers"]
            assert [one["state"] for one in view] == ["ready"] * 3
            assert all(one["credentials"][0]["refresh_at"] for one in view)
            shown = json.dumps(view) + plane.tail(100_000)
        assert "PRIVATE KEY" not in shown
        for secret in ("base-secret", "entra-client-secret", "-token-", "session-secret"):
            assert secret not in shown
