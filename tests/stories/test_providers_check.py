"""`towplane providers`: what is said of each kind of provider, and that trying one is free."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from towplane.cli.main import run
from towplane.testing.anthropic import AnthropicEmulator
from towplane.testing.bedrock.server import FakeBedrock
from towplane.testing.openai.azure import Azure
from towplane.testing.openai.server import OpenAIEmulator
from towplane.testing.plane import RunningPlane, wait_until
from towplane.testing.provider import FakeProvider
from towplane.testing.proxy import FakeProxy
from towplane.testing.tls import make_certificate
from towplane.testing.vertex.server import VertexEmulator

SECRETS = {
    "GOOD_OPENAI": "sk-test",
    "GOOD_AZURE": "azure-key",
    "GOOD_BEARER": "bedrock-api-key-towplane",
    "GOOD_AWS": "AKIDTOWPLANE",
    "GOOD_AWS_SECRET": "a secret key",
    "GOOD_EXPRESS": "AIzaSyEmulator-0001",
    "BAD": "wrong-secret-key-1234",
}


def document(folder: Path, providers: dict[str, Any], routing: dict[str, Any]) -> str:
    return yaml.safe_dump(
        {
            "plane": "story",
            "data_dir": str(folder / "data"),
            "gateway": {"listen": "127.0.0.1:0"},
            "admin": {"listen": "127.0.0.1:0"},
            "providers": providers,
            "routing": routing,
            "tenants": {"acme": {}},
        }
    )


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """The exit code, and the object that the command prints."""
    capsys.readouterr()
    code = run([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


class World:
    """A double of every kind, and a document that knows them all."""

    def __init__(self, stack: ExitStack) -> None:
        self.openai = stack.enter_context(OpenAIEmulator())
        self.azure = stack.enter_context(OpenAIEmulator(azure=Azure()))
        self.anthropic = stack.enter_context(AnthropicEmulator())
        self.bedrock = stack.enter_context(FakeBedrock())
        self.vertex = stack.enter_context(VertexEmulator())

    def providers(self, account: Path) -> dict[str, Any]:
        bad = {"api_key": "env:BAD"}
        aws = {"access_key": "env:GOOD_AWS", "secret_key": "env:GOOD_AWS_SECRET"}
        return {
            "openai": {
                "kind": "openai",
                "endpoint": self.openai.base_url,
                "credentials": [{"api_key": "env:GOOD_OPENAI"}, bad],
            },
            "compatible": {"kind": "openai-compatible", "endpoint": self.openai.base_url,
                           "credentials": [{"api_key": "env:GOOD_OPENAI"}]},
            "anthropic": {
                "kind": "anthropic",
                "endpoint": self.anthropic.origin,
                "credentials": [{"api_key": "env:GOOD_ANTHROPIC"}, bad],
            },
            "azure": {
                "kind": "azure-openai",
                "endpoint": self.azure.origin,
                "credentials": [{"api_key": "env:GOOD_AZURE"}, bad],
            },
            "bedrock": {
                "kind": "bedrock",
                "region": "us-east-1",
                "endpoint": self.bedrock.origin,
                "credentials": [
                    aws,
                    {"bearer": "env:GOOD_BEARER"},
                    {**aws, "secret_key": "env:BAD"},
                    {"bearer": "env:BAD"},
                ],
            },
            "vertex": {
                "kind": "vertex",
                "project": "acme",
                "location": "europe-west4",
                "endpoint": self.vertex.origin,
                "credentials": [{"service_account": f"file:{account}"}],
            },
            "express": {
                "kind": "vertex",
                "endpoint": self.vertex.origin,
                "credentials": [{"api_key": "env:GOOD_EXPRESS"}, {"api_key": "env:BAD"}],
            },
        }  # fmt: skip


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        found = World(stack)
        monkeypatch.setenv("GOOD_ANTHROPIC", found.anthropic.api_key)
        yield found


ROUTES = {
    "m": {
        "targets": [{"provider": "bedrock", "model": "anthropic.claude-3-haiku-20240307-v1:0"}],
        "fallback": [{"provider": "vertex", "model": "gemini-2.5-flash"}],
    }
}


def test_every_credential_of_every_kind_is_told_apart_for_nothing(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    account = tmp_path / "account.json"
    account.write_text(json.dumps(world.vertex.grants.service_account(world.vertex.origin)))
    file = tmp_path / "plane.yaml"
    file.write_text(document(tmp_path, world.providers(account), ROUTES))
    code, found = ask(capsys, "providers", "check", "-f", str(file))
    assert code == 1
    assert {one["credential"]: one["auth"] for one in found["checked"]} == {
        "openai#1": "works", "openai#2": "refused",
        "compatible#1": "works",
        "anthropic#1": "works", "anthropic#2": "refused",
        "azure#1": "works", "azure#2": "refused",
        "bedrock#1": "works", "bedrock#2": "works", "bedrock#3": "refused", "bedrock#4": "refused",
        "vertex#1": "works",
        "express#1": "works", "express#2": "refused",
    }, found  # fmt: skip
    assert all(one["ok"] == (one["auth"] == "works") for one in found["checked"])
    assert all(one["say"] for one in found["checked"] if not one["ok"])
    shown = json.dumps(found)
    assert "PRIVATE KEY" not in shown
    assert not [name for name, value in SECRETS.items() if value in shown]
    # Nothing was spent.
    assert sum(bill.input + bill.output for bill in world.bedrock.book.bills().values()) == 0
    for double in (world.openai, world.azure):
        assert sum(bill.input + bill.output for bill in double.bills()) == 0
    assert all(bill.path.endswith(":countTokens") for bill in world.vertex.billed())
    assert {bill.path for bill in world.anthropic.billed()} == {"/v1/models"}
    # One provider alone, and all is well.
    code, found = ask(capsys, "providers", "check", "vertex", "compatible", "-f", str(file))
    assert (code, found["ok"]) == (0, True)
    assert run(["providers", "check", "nobody", "-f", str(file)]) == 1
    assert run(["providers", "check", "express", "-f", str(file)]) == 1
    assert "express#2" in capsys.readouterr().out


def test_what_is_between_here_and_a_provider_is_told_step_by_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name, a connection, a proxy, TLS, a secret: the first that fails is named."""
    monkeypatch.setenv("KEY", "k")
    shown = make_certificate(tmp_path, "server", "provider.test")
    keys = [{"api_key": "env:KEY"}]
    with FakeProvider(tls=shown.server_context()) as fake, FakeProxy(user="u:p") as proxy:
        proxy.names["provider.test:443"] = ("127.0.0.1", fake.port)
        here = f"127.0.0.1:{fake.port}"
        through = {"proxy": f"http://127.0.0.1:{proxy.address[1]}", "ca": str(shown.certificate)}
        ways: dict[str, Any] = {
            "nowhere": {},
            "closed": {"address": "127.0.0.1:1"},
            "untrusted": {"address": here},
            "unknown": through,
            "well": {**through, "proxy_authorization": "env:WORD"},
            "keyless": {"address": here, "ca": str(shown.certificate)},
        }
        providers = {
            name: {
                "kind": "openai-compatible",
                "endpoint": "https://provider.test/v1",
                "credentials": [{"api_key": "env:NONE"}] if name == "keyless" else keys,
                "egress": way,
            }
            for name, way in ways.items()
        }
        monkeypatch.setenv("WORD", "u:p")
        file = tmp_path / "plane.yaml"
        file.write_text(document(tmp_path, providers, {}))
        code, found = ask(capsys, "providers", "check", "-f", str(file))
    assert code == 1
    by_name = {one["provider"]: one for one in found["checked"]}
    assert by_name["nowhere"]["say"].startswith("name: ")
    assert by_name["closed"]["say"].startswith("connection: ")
    assert by_name["untrusted"]["say"].startswith("TLS: ")
    assert "wants to know who asks (407)" in by_name["unknown"]["say"]
    assert by_name["keyless"]["auth"] == "missing"
    assert "NONE is not set" in by_name["keyless"]["say"]
    well = by_name["well"]
    assert (well["ok"], well["auth"]) == (True, "works")
    assert well["tls_ms"] > 0
    assert well["say"] == "its certificate ends in 1 days"


def test_a_dry_run_shows_each_request_and_reads_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No variable of the document is set, and none is missed."""
    providers = {
        "aws": {
            "kind": "bedrock",
            "region": "eu-central-1",
            "credentials": [{"access_key": "env:NO_A", "secret_key": "env:NO_B"}],
            "egress": {"address": "10.1.2.3:443"},
        },
        "open": {
            "kind": "openai",
            "credentials": [{"api_key": "env:NO_C"}],
            "egress": {"proxy": "http://proxy:3128", "proxy_authorization": "env:NO_D"},
        },
    }
    routing = {
        "m": {"targets": [{"provider": "aws", "model": "amazon.nova-lite-v1:0"}],
              "fallback": ["other"]},
        "other": {"targets": [{"provider": "open", "model": "gpt-test"}]},
    }  # fmt: skip
    file = tmp_path / "plane.yaml"
    file.write_text(document(tmp_path, providers, routing))
    code, found = ask(capsys, "providers", "check", "--dry-run", "m", "-f", str(file))
    assert code == 0
    first, second = found["requests"]
    host = "bedrock-runtime.eu-central-1.amazonaws.com"
    assert first["request"] == f"POST https://{host}/model/amazon.nova-lite-v1%3A0/converse"
    assert first["through"] == f"{host}:443 at 10.1.2.3:443"
    signed = dict(first["headers"])["authorization"]
    assert "SignedHeaders=content-type;host;x-amz-date" in signed
    assert signed.endswith("Signature=****")
    assert second["through"] == "api.openai.com:443 through the proxy proxy:3128"
    assert dict(second["headers"])["authorization"] == "Bearer ****"
    assert dict(second["headers"])["proxy-authorization"] == "Basic ****"
    assert second["body"]["model"] == "gpt-test"
    words = ["providers", "check", "--dry-run", "m", "-f", str(file), "--operation"]
    _, found = ask(capsys, *words, "embeddings")
    assert "offers no embeddings" in found["requests"][0]["refused"]
    asked = tmp_path / "asked.json"
    asked.write_text(json.dumps({"messages": [{"role": "user", "content": "x" * 1000}]}))
    _, found = ask(capsys, *words, "chat", "--body", str(asked))
    assert found["requests"][1]["body"]["messages"][0]["content"].endswith("… (1000 characters)")
    assert run([*words, "painting"]) == 2
    assert run(["providers", "check", "--dry-run", "nothing", "-f", str(file)]) == 1
    assert run(["providers", "check", "--dry-run", "m", "-f", str(file)]) == 0
    assert "POST https://api.openai.com/v1/chat/completions" in capsys.readouterr().out


def test_a_rotated_key_is_taken_and_a_refused_one_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A whole plane: the key in a file is replaced, first by a wrong one; nothing is restarted, and
    no key stands in the log, an answer, a metric, the status, the ledger or the journal."""
    key_file = tmp_path / "key"
    key_file.write_text("first-upstream-key")
    with FakeProvider(api_key="first-upstream-key") as fake:
        providers = {
            "p": {
                "kind": "openai-compatible",
                "endpoint": fake.base_url,
                "credentials": [{"api_key": f"file:{key_file}"}],
                "limits": {"rpm": 6000},
            }
        }
        routing = {"fake": {"targets": [{"provider": "p"}], "retries": {"most": 1}}}
        with RunningPlane(document(tmp_path, providers, routing), tmp_path) as plane:
            headers = {"authorization": f"Bearer {plane.key('acme')}"}
            body = {"model": "fake", "messages": [{"role": "user", "content": "hi"}]}
            answers: list[str] = []

            def chat() -> int:
                url = f"{plane.base_url}/chat/completions"
                answer = httpx.post(url, headers=headers, json=body, timeout=30)
                answers.append(answer.text)
                return answer.status_code

            def view() -> Any:
                return plane.call("GET", "/providers")["providers"][0]

            assert chat() == 200
            assert view()["state"] == "ready"
            assert view()["limits"]["rpm"] == 6000
            assert run(["providers", "status", "-f", str(plane.file)]) == 0

            key_file.write_text("wrong-upstream-key")
            wait_until(lambda: chat() != 200, 30)
            wait_until(lambda: view()["state"] == "down", 30)
            parked = view()["credentials"][0]
            assert (parked["name"], parked["state"]) == ("p#1", "parked")
            assert parked["parked_s"] > 0
            assert run(["providers", "status", "-f", str(plane.file)]) == 1
            assert "p#1 is parked" in capsys.readouterr().out

            key_file.write_text("first-upstream-key")
            wait_until(lambda: chat() == 200, 30)
            wait_until(lambda: view()["state"] == "ready", 30)
            run(["providers", "list", "-f", str(plane.file)])
            shown = capsys.readouterr().out + json.dumps(view()) + plane.tail(100_000)
            shown += "".join(answers) + json.dumps(plane.call("GET", "/status"))
            shown += httpx.get(f"{plane.admin_url}/metrics").text
            assert 'towplane_credentials{provider="p",state="ready"} 1' in shown
            shown += "".join(
                path.read_bytes().decode("latin-1")
                for path in plane.data_dir.rglob("*")
                if path.is_file()
            )
            assert "2 rotated" not in shown
            assert "1 rotated secrets are in use" in shown
            for secret in ("first-upstream-key", "wrong-upstream-key"):
                assert secret not in shown
