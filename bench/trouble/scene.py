"""The plane's document for a run: routes over all vendors, pools of credentials, limits, prices."""

import json
from pathlib import Path
from typing import Any

import yaml

from trouble.vendors import KEYS, ROLE, Vendors

__all__ = ["MODELS", "PRICES", "environment", "write_document"]

CLAUDE_AWS = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
CLAUDE = "claude-sonnet-4-5-20250929"
CLAUDE_VERTEX = "claude-sonnet-4-5@20250929"
FLASH = "gemini-2.5-flash"
MODELS = ("mixed", "claude", "gemini")
"""Routes, which are what clients ask for."""

PRICES: dict[str, dict[str, int]] = {
    # by provider and model, nano-dollars per thousand tokens; invented, and no two alike
    "openai/gpt-test": {"input": 2_500_000, "output": 10_000_000, "cached": 1_250_001},
    "azure/gpt-azure": {"input": 2_750_003, "output": 11_000_007, "cached": 1_375_000},
    f"anthropic/{CLAUDE}": {"input": 3_000_000, "output": 15_000_000, "cached": 300_000,
                            "write": 3_750_000, "write_1h": 6_000_000},
    f"bedrock/{CLAUDE_AWS}": {"input": 3_300_000, "output": 16_500_000, "cached": 330_000,
                              "write": 4_125_000, "write_1h": 6_600_000},
    f"bedrock/{NOVA}": {"input": 60_011, "output": 240_013, "cached": 15_017},
    f"vertex/{FLASH}": {"input": 301_019, "output": 2_503_023, "cached": 77_029},
    f"vertex/{CLAUDE_VERTEX}": {"input": 3_001_000, "output": 15_001_000, "cached": 301_000,
                                "write": 3_751_000},
    "local/open": {"input": 123, "output": 457, "cached": 61},
}  # fmt: skip

_LIMITS = {"rpm": 30_000, "tpm": 50_000_000, "concurrency": 400}


def environment(vendors: Vendors) -> dict[str, str]:
    """What the plane finds in its environment."""
    sts = {
        "AWS_ENDPOINT_URL_STS": vendors.sts_url,
        "AWS_KEY": "AKIDCHAOS",
        "BASE_KEY": "AKIDBASE",
        "BASE_SECRET": "base-secret",
        "EXTERNAL_ID": "external-id-7",
    }
    return {**KEYS, **sts}


def write_document(vendors: Vendors, folder: Path) -> str:
    """The document; service accounts' keys are written beside it."""
    return yaml.safe_dump(
        {
            "plane": "chaos",
            "data_dir": str(folder / "data"),
            "gateway": {"listen": "127.0.0.1:0", "workers": 2},
            "admin": {"listen": "127.0.0.1:0"},
            "providers": _providers(vendors, folder),
            "routing": _routing(),
            "tenants": {
                "acme": {"limits": {"rpm": 60_000}, "budget": {"monthly": "100000 USD"}},
                "globex": {"limits": {"concurrency": 1_000}},
            },
        }
    )


def _providers(vendors: Vendors, folder: Path) -> dict[str, Any]:
    accounts = []
    for number, account in enumerate(vendors.google_accounts):
        path = folder / f"account-{number}.json"
        path.write_text(json.dumps(account))
        accounts.append({"service_account": f"file:{path}"})
    role = {"access_key": "env:BASE_KEY", "secret_key": "env:BASE_SECRET", "role": ROLE,
            "external_id": "env:EXTERNAL_ID"}  # fmt: skip
    openai = vendors.origin("openai") + "/v1"
    local = vendors.origin("local") + "/v1"
    found: dict[str, dict[str, Any]] = {
        "openai": {"kind": "openai", "endpoint": openai, "credentials": _keys("OPENAI")},
        "azure": {"kind": "azure-openai", "endpoint": vendors.origin("azure"),
                  "credentials": _keys("AZURE")},
        "anthropic": {"kind": "anthropic", "endpoint": vendors.origin("anthropic"),
                      "credentials": _keys("ANTHROPIC")},
        "bedrock": {"kind": "bedrock", "region": "us-east-1",
                    "endpoint": vendors.origin("bedrock"),
                    "credentials": [role, {"access_key": "env:AWS_KEY",
                                           "secret_key": "env:AWS_SECRET"},
                                    {"bearer": "env:AWS_BEARER"}]},
        "vertex": {"kind": "vertex", "project": "acme", "location": "europe-west4",
                   "endpoint": vendors.origin("vertex"), "credentials": accounts},
        "local": {"kind": "openai-compatible", "endpoint": local, "credentials": _keys("LOCAL")},
    }  # fmt: skip
    for name, provider in found.items():
        provider["limits"] = _LIMITS
        provider["prices"] = {
            key.partition("/")[2]: [_price(price)]
            for key, price in PRICES.items()
            if key.startswith(f"{name}/")
        }
    return found


def _keys(name: str) -> list[dict[str, str]]:
    return [{"api_key": f"env:{name}_A"}, {"api_key": f"env:{name}_B"}]


def _price(price: dict[str, int]) -> dict[str, str]:
    words = {"input": "input", "output": "output", "cached": "cached_input",
             "write": "cache_write", "write_1h": "cache_write_1h"}  # fmt: skip
    said = {words[name]: f"{value / 1_000_000:.6f} USD/Mtok" for name, value in price.items()}
    return {"from": "2026-01-01", **said}


def _routing() -> dict[str, Any]:
    usual = {
        "drop_unsupported": True,
        "timeouts": {"connect": "1s", "first_token": "1500ms", "between_tokens": "1500ms",
                     "total": "6s"},
    }  # fmt: skip
    groups = {
        "mixed": ([("openai", "gpt-test"), ("azure", "gpt-azure"), ("local", "open")],
                  [("anthropic", CLAUDE), ("vertex", FLASH)]),
        "claude": ([("anthropic", CLAUDE), ("bedrock", CLAUDE_AWS), ("vertex", CLAUDE_VERTEX)],
                   [("openai", "gpt-test")]),
        "gemini": ([("vertex", FLASH), ("bedrock", NOVA)],
                   [("azure", "gpt-azure"), ("local", "open")]),
    }  # fmt: skip
    return {
        name: {
            **usual,
            "targets": [{"provider": one, "model": model} for one, model in targets],
            "fallback": [{"provider": one, "model": model} for one, model in fallback],
        }
        for name, (targets, fallback) in groups.items()
    }
