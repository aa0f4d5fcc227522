"""Secret managers by reference, asked as they want to be asked, and what an error may say."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from towplane.parts.secrets import SecretMissing, resolve_secret
from towplane.parts.stores import answers, azure, google
from towplane.testing.issuers import FakeIssuers


class Store:
    """An HTTP server with one answer for everything; it keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"{}"
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""

    def say(self, value: object, status: int = 200) -> None:
        self.status, self.body = status, json.dumps(value).encode()


@pytest.fixture
def store() -> Iterator[Store]:
    found = Store()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.asked.append((self.path, headers, body))
            self.send_response(found.status)
            self.send_header("content-length", str(len(found.body)))
            self.end_headers()
            self.wfile.write(found.body)

        do_POST = do_GET  # noqa: N815  # the names of the standard library

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()


def test_vault_gives_a_key_of_either_version_of_its_store(store: Store, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("vault-token\n")
    environ = {
        "VAULT_ADDR": store.url + "/",
        "VAULT_TOKEN_FILE": str(tmp_path / "token"),
        "VAULT_NAMESPACE": "acme",
    }
    store.say({"data": {"data": {"key": "s3cret"}, "metadata": {"version": 3}}})
    assert resolve_secret("vault:secret/data/openai#key", environ).reveal() == "s3cret"
    path, headers, _ = store.asked[0]
    assert path == "/v1/secret/data/openai"
    assert headers["x-vault-token"] == "vault-token"
    assert headers["x-vault-namespace"] == "acme"
    store.say({"data": {"key": "older"}})
    assert resolve_secret("vault:kv/openai#key", environ).reveal() == "older"
    with pytest.raises(SecretMissing, match="has no key other") as caught:
        resolve_secret("vault:kv/openai#other", environ)
    assert "older" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "next_step"), [(403, "grant reading"), (404, "holds `data/`"), (500, "")]
)
def test_a_store_that_refuses_is_named_and_not_quoted(
    store: Store, status: int, next_step: str
) -> None:
    store.say({"errors": ["s3cret"]}, status)
    environ = {"VAULT_ADDR": store.url, "VAULT_TOKEN": "vault-token"}
    with pytest.raises(SecretMissing, match=f"vault:a/b: the store answered {status}") as caught:
        resolve_secret("vault:a/b#key", environ)
    assert next_step in caught.value.next_step
    assert "s3cret" not in repr(caught.value)
    assert "vault-token" not in repr(caught.value)


def test_a_store_that_is_not_there_or_not_named(store: Store, tmp_path: Path) -> None:
    for environ, says in (
        ({"HOME": str(tmp_path)}, "nobody says where Vault is"),
        ({"VAULT_ADDR": store.url, "VAULT_TOKEN_FILE": "/none"}, "no token for Vault: /none"),
        ({"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "t"}, "cannot be asked"),
    ):
        with pytest.raises(SecretMissing, match=says):
            resolve_secret("vault:a/b#key", environ)
    store.body = b"<html>"
    with pytest.raises(SecretMissing, match="cannot be asked"):
        resolve_secret("vault:a/b#key", {"VAULT_ADDR": store.url, "VAULT_TOKEN": "t"})


def test_aws_gives_a_whole_secret_or_one_key_of_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", store.url),
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "aws-secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    store.say({"Name": "openai", "SecretString": '{"key": "s3cret"}'})
    assert resolve_secret("aws-secretsmanager:openai#key", {}).reveal() == "s3cret"
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:openai-AbCdEf"
    assert resolve_secret(f"aws-secretsmanager:{arn}", {}).reveal() == '{"key":"s3cret"}'
    assert json.loads(store.asked[1][2]) == {"SecretId": arn}
    assert "/eu-central-1/secretsmanager/" in store.asked[1][1]["authorization"]
    with pytest.raises(SecretMissing, match="openai has no key other"):
        resolve_secret("aws-secretsmanager:openai#other", {})
    store.say({"__type": "ResourceNotFoundException", "message": "s3cret"}, 400)
    with pytest.raises(SecretMissing, match="answered ResourceNotFoundException") as caught:
        resolve_secret("aws-secretsmanager:openai", {})
    assert "s3cret" not in repr(caught.value)


def test_google_gives_a_version_of_a_secret(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    metadata = pytest.importorskip("google.auth.compute_engine._metadata")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))  # no login of whoever runs this
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with FakeIssuers() as issuers:
        host = issuers.url.removeprefix("http://")
        monkeypatch.setenv("GCE_METADATA_IP", host)
        monkeypatch.setattr(metadata, "_GCE_METADATA_HOST", host)
        monkeypatch.setattr(google, "ENDPOINT", store.url)
        store.say({"payload": {"data": base64.b64encode(b"s3cret").decode()}})
        name = "projects/acme/secrets/openai/versions/latest"
        assert resolve_secret(f"gcp-secretmanager:{name}", {}).reveal() == "s3cret"
    path, headers, _ = store.asked[0]
    assert path == f"/v1/{name}:access"
    assert headers["authorization"] == "Bearer metadata-token-1"


def test_azure_gives_the_newest_version_of_a_secret(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeIssuers() as issuers:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{issuers.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "identity-header")
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "prod")
        real = answers.get_json

        def local(where: str, url: str, headers: dict[str, str]) -> dict[str, object]:
            assert url.startswith("https://acme.vault.azure.net/")
            return real(where, url.replace("https://acme.vault.azure.net", store.url), headers)

        monkeypatch.setattr(azure, "get_json", local)
        store.say({"value": "s3cret", "id": "x"})
        assert resolve_secret("azure-keyvault:acme/openai", {}).reveal() == "s3cret"
        assert issuers.asked == ["managed identity https://vault.azure.net"]
    path, headers, _ = store.asked[0]
    assert path == "/secrets/openai?api-version=7.4"
    assert headers["authorization"] == "Bearer managed-token-1"
