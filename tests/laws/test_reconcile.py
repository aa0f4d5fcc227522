"""The ledger beside bills: what each format says, which model it means, and where the drift is.

The fixtures are built from the documented schemas: AWS Data Exports user guide (CUR 2.0, legacy
line item details) and Amazon Bedrock user guide (usage types), Microsoft Learn (cost and usage
details, FOCUS), Cloud Billing documentation (standard export). Meter and SKU names are those of the
public price lists of 2026.
"""

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.cli.main import run
from towplane.parts.errors import EXIT_DONE, EXIT_NO, EXIT_USAGE, BadRequest
from towplane.parts.storage import Database
from towplane.tenants.ledger.schema import open_schema, usage_by_day
from towplane.tenants.reconciliation import aws, azure, google
from towplane.tenants.reconciliation.bill import TOKEN_KINDS, BillLine, Kind
from towplane.tenants.reconciliation.books import read_book
from towplane.tenants.reconciliation.compare import BookLine, reconcile
from towplane.tenants.reconciliation.formats import read_bill
from towplane.tenants.reconciliation.names import match_names, words_of

DAY = "2026-11-05"


def cur(usage_type: str, amount: str = "12.345", cost: str = "0.037035", **more: Any) -> Any:
    """A row of CUR 2.0."""
    return {
        "bill_billing_period_start_date": "2026-11-01 00:00:00.000",
        "line_item_currency_code": "USD",
        "line_item_line_item_description": "$0.003 per 1K input tokens for Claude",
        "line_item_line_item_type": "Usage",
        "line_item_operation": "InvokeModelStreamingInference",
        "line_item_product_code": "AmazonBedrock",
        "line_item_unblended_cost": cost,
        "line_item_usage_amount": amount,
        "line_item_usage_start_date": f"{DAY} 00:00:00.000",
        "line_item_usage_type": usage_type,
        "pricing_unit": "1K tokens",
        "product": '{"product_name":"Amazon Bedrock","region":"us-east-1"}',
        "product_region_code": "us-east-1",
    } | more  # fmt: skip


def one_aws(*args: Any, **more: Any) -> BillLine:
    (line,) = aws.read_lines([cur(*args, **more)])
    return line


@pytest.mark.parametrize(
    ("usage_type", "model", "kind"),
    [
        ("USE1-Claude4.6Sonnet-input-tokens", "Claude4.6Sonnet", "input"),
        ("USE1-Claude4.6Sonnet-output-tokens-cross-region-global", "Claude4.6Sonnet", "output"),
        ("USE1-Claude4.6Sonnet-cache-read-input-token-count", "Claude4.6Sonnet", "cache_read"),
        ("EUC1-Claude4Sonnet-cache-write-input-token-count-cross-region-global",
         "Claude4Sonnet", "cache_write"),
        ("USE1-NovaPro-cache-write-1h-input-token-count", "NovaPro", "cache_write"),
        ("USE1-Nova2.0Lite-input-tokens-flex", "Nova2.0Lite", "input"),
        ("USE1-gpt-oss-120b-output-tokens-priority", "gpt-oss-120b", "output"),
        ("USE1-openai.gpt-oss-120b-mantle-input-tokens-standard", "openai.gpt-oss-120b", "input"),
        ("APS3-Llama4-Maverick-17B-input-tokens-batch", "Llama4-Maverick-17B", "input"),
        ("USE1-Claude-3.5-Sonnet-Input-Tokens", "Claude-3.5-Sonnet", "input"),
        ("USE1-ProvisionedThroughput-ModelUnits", "", "capacity"),
        ("USE1-Guardrail-ContentPolicyUnitsConsumed", "", "other"),
    ],
)  # fmt: skip
def test_usage_types_of_bedrock_say_model_and_kind(usage_type: str, model: str, kind: str) -> None:
    line = one_aws(usage_type)
    assert (line.model, line.kind, line.day) == (model, kind, DAY)
    assert line.tokens == (12_345 if kind in TOKEN_KINDS else None)
    assert line.nanousd == 37_035_000


@pytest.mark.parametrize(
    ("usage_type", "kind"),
    [
        ("USE1-MP:USE1_InputTokenCount-Units", "input"),
        ("USE1-MP:USE1_OutputTokenCount_Global-Units", "output"),
        ("USE1-MP:USE1_CacheReadInputTokenCount_Global-Units", "cache_read"),
        ("USE1-MP:USE1_CacheWriteInputTokenCount-Units", "cache_write"),
        ("USE1_input_tokens_global_standard-Units", "input"),
    ],
)
def test_models_of_the_marketplace_are_named_by_their_product(usage_type: str, kind: str) -> None:
    line = one_aws(
        usage_type,
        amount="2.5",
        line_item_product_code="4tekr5a8cmsw13f1p60",
        pricing_unit="Units",
        line_item_line_item_description="AWS Marketplace software usage|us-east-1|Million "
        "Input Tokens Global",
        product=[("product_name", "Claude Sonnet 4.5 (Amazon Bedrock Edition)")],
    )
    assert (line.model, line.kind, line.tokens) == ("Claude Sonnet 4.5", kind, 2_500_000)


@pytest.mark.parametrize(
    ("unit", "description", "tokens"),
    [
        ("1K tokens", "", 2000),
        ("1M tokens", "", 2_000_000),
        ("Tokens", "", 2),
        ("1000 tokens", "", 2000),
        ("Units", "$0.0033 per 1K input tokens", 2000),
        ("Units", "1,000 output tokens", 2000),
        ("Units", "something else", None),
        ("", "", None),
    ],
)
def test_what_a_unit_is_worth_is_read_and_never_guessed(
    unit: str, description: str, tokens: int | None
) -> None:
    line = one_aws("USE1-NovaPro-input-tokens", "2", pricing_unit=unit,
                   line_item_line_item_description=description)  # fmt: skip
    assert line.tokens == tokens


def test_credits_and_taxes_are_money_without_usage() -> None:
    for word in ("Credit", "Tax", "EdpDiscount", "BundledDiscount", "Refund", "Fee"):
        line = one_aws("USE1-NovaPro-input-tokens", cost="-1", line_item_line_item_type=word)
        assert (line.is_usage, line.tokens, line.nanousd) == (False, None, -(10**9))


def test_legacy_cur_says_the_same_in_other_columns() -> None:
    legacy = {
        "identity/LineItemId": "x",
        "lineItem/UsageStartDate": f"{DAY}T00:00:00Z",
        "lineItem/ProductCode": "AmazonBedrock",
        "lineItem/UsageType": "USE1-Claude4.6Sonnet-input-tokens",
        "lineItem/LineItemType": "Usage",
        "lineItem/UsageAmount": "12.345",
        "lineItem/UnblendedCost": "0.037035",
        "lineItem/CurrencyCode": "USD",
        "lineItem/LineItemDescription": "$0.003 per 1K input tokens for Claude",
        "pricing/unit": "1K tokens",
        "product/ProductName": "Amazon Bedrock",
        "product/region": "us-east-1",
    }
    (line,) = aws.read_lines([legacy])
    assert line == one_aws("USE1-Claude4.6Sonnet-input-tokens")


def test_other_services_are_no_business_of_ours() -> None:
    assert (
        list(aws.read_lines([cur("BoxUsage:m5.large", line_item_product_code="AmazonEC2")])) == []
    )
    assert list(azure.read_lines([{"MeterCategory": "Storage", "MeterName": "LRS"}])) == []
    assert list(google.read_lines([{"service.description": "Compute Engine"}])) == []


def meter(name: str, quantity: str = "16.5", cost: str = "0.04125", **more: Any) -> Any:
    """A row of a Cost Management export, Enterprise Agreement."""
    return {
        "Date": "11/05/2026",
        "MeterCategory": "Foundry Models",
        "MeterSubCategory": "Azure OpenAI",
        "MeterName": name,
        "UnitOfMeasure": "1K",
        "Quantity": quantity,
        "EffectivePrice": "0.0025",
        "UnitPrice": "0.0025",
        "CostInBillingCurrency": cost,
        "BillingCurrency": "USD",
        "ChargeType": "Usage",
        "ResourceLocation": "eastus",
    } | more


def one_azure(*args: Any, **more: Any) -> BillLine:
    (line,) = azure.read_lines([meter(*args, **more)])
    return line


@pytest.mark.parametrize(
    ("name", "model", "kind"),
    [
        ("gpt 4o 0806 Inp glbl Tokens", "gpt 4o", "input"),
        ("gpt 4o 1120 cached Inp glbl Tokens", "gpt 4o", "cache_read"),
        ("gpt-4o-mini-0718-Outp-regnl Tokens", "gpt 4o mini", "output"),
        ("gpt 4.1 Inp Data Zone Tokens", "gpt 4.1", "input"),
        ("GPT 5.1 cd inp Gl 1M Tokens", "GPT 5.1", "cache_read"),
        ("GPT 5.1 opt Gl 1M Tokens", "GPT 5.1", "output"),
        ("Llama 3.3 70B Inp glbl Tokens", "Llama 3.3 70B", "input"),
        ("gpt-oss-120B Inp glbl Tokens", "gpt oss 120B", "input"),
        ("gpt 4.1 mini Batch Outp DZone Tokens", "gpt 4.1 mini", "output"),
        ("Provisioned Managed Global Unit", "", "capacity"),
    ],
)
def test_meters_of_azure_say_model_and_kind(name: str, model: str, kind: str) -> None:
    line = one_azure(name)
    assert (line.model, line.kind, line.day) == (model, kind, DAY)
    assert line.tokens == (16_500 if kind in TOKEN_KINDS else None)
    assert line.nanousd == 41_250_000


def test_a_meter_that_is_only_a_number_has_its_name_from_the_product() -> None:
    line = one_azure("5.4 opt Dz 1M Tokens", MeterSubCategory="Azure OpenAI GPT5")
    assert (line.model, line.kind) == ("gpt 5.4", "output")


def test_a_quantity_is_in_units_or_in_tokens_as_its_cost_tells() -> None:
    assert one_azure("gpt 4o Inp glbl Tokens", "16.5").tokens == 16_500
    assert one_azure("gpt 4o Inp glbl Tokens", "16500").tokens == 16_500
    million = {"UnitOfMeasure": "1M", "EffectivePrice": "2.5"}
    assert one_azure("gpt 4o Inp glbl Tokens", "0.0165", **million).tokens == 16_500
    free = {"EffectivePrice": "0", "UnitPrice": "0"}
    assert one_azure("gpt 4o Inp glbl Tokens", "16.5", "0", **free).tokens == 16_500


def test_capitals_of_the_customer_agreement_and_focus_say_the_same() -> None:
    mca = {name[0].lower() + name[1:]: value for name, value in meter("gpt 4o Inp Tokens").items()}
    (line,) = azure.read_lines([mca | {"date": "2026-11-05T00:00:00Z"}])
    assert (line.model, line.tokens, line.day) == ("gpt 4o", 16_500, DAY)
    focus = {
        "ChargePeriodStart": "2026-11-05T00:00:00Z",
        "ServiceName": "Azure OpenAI",
        "x_SkuMeterCategory": "Foundry Models",
        "x_SkuMeterName": "gpt 4o Inp glbl Tokens",
        "ChargeCategory": "Usage",
        "ConsumedQuantity": "16.5",
        "ConsumedUnit": "1K Tokens",
        "BilledCost": "0.04125",
        "BillingCurrency": "USD",
    }
    (line,) = azure.read_lines([focus])
    assert (line.model, line.tokens, line.nanousd, line.day) == ("gpt 4o", 16_500, 41_250_000, DAY)


def test_another_currency_is_no_dollars_unless_the_bill_converts() -> None:
    assert one_azure("gpt 4o Inp Tokens", BillingCurrency="EUR").nanousd is None
    assert one_azure("gpt 4o Inp Tokens", BillingCurrency="EUR", costInUsd="0.05").nanousd == 5e7
    assert one_aws("USE1-NovaPro-input-tokens", line_item_currency_code="CNY").nanousd is None
    euros = {"currency": "EUR", "currency_conversion_rate": None}
    assert one_google("Gemini 2.5 Flash Text Input - Predictions", **euros).nanousd is None
    euros["currency_conversion_rate"] = "0.5"
    assert one_google("Gemini 2.5 Flash Text Input - Predictions", **euros).nanousd == 600_000_000


def sku(description: str, **more: Any) -> Any:
    """A row of the standard export, as `bq extract` writes JSON lines."""
    return {
        "service": {"id": "C7E2-9256-1C43", "description": "Vertex AI"},
        "sku": {"id": "FDAB-647C-5A22", "description": description},
        "usage_start_time": "2026-11-05 08:00:00 UTC",
        "usage_end_time": "2026-11-05 09:00:00 UTC",
        "location": {"region": "europe-west4"},
        "cost": 0.3,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "usage": {"amount": 1_000_000.0, "unit": "requests", "pricing_unit": "count"},
        "credits": [{"name": "Free Trial", "amount": -0.3}],
        "cost_type": "regular",
    } | more


def one_google(*args: Any, **more: Any) -> BillLine:
    (line,) = google.read_lines([sku(*args, **more)])
    return line


@pytest.mark.parametrize(
    ("description", "model", "kind"),
    [
        ("Gemini 2.5 Flash GA Text Input - Predictions", "Gemini 2.5 Flash", "input"),
        ("Gemini 2.5 Flash Lite Text Output - Predictions", "Gemini 2.5 Flash Lite", "output"),
        (" Gemini 2.5 Flash GA Input Text Caching", "Gemini 2.5 Flash", "cache_read"),
        ("Gemini 2.5 Flash GA Thinking Text Output - Predictions", "Gemini 2.5 Flash", "output"),
        ("Gemini 2.5 Flash GA Text Output (Thinking On) - Predictions",
         "Gemini 2.5 Flash", "output"),
        ("Gemini 3.7 Flash Global Text Input Priority - Predictions", "Gemini 3.7 Flash", "input"),
        ("Gemini 2.5 Flash GA Audio Input (Long) - Predictions", "Gemini 2.5 Flash", "input"),
        ("Generate content input token count gemini 2.5 flash short input text",
         "gemini 2.5 flash", "input"),
        ("LLM Grounding with Google Search tool - Predictions", "", "other"),
        ("Vertex AI: Provisioned Throughput 1 month", "", "capacity"),
    ],
)  # fmt: skip
def test_skus_of_google_say_model_and_kind(description: str, model: str, kind: str) -> None:
    line = one_google(description)
    assert (line.model, line.kind, line.day, line.nanousd) == (model, kind, DAY, 300_000_000)
    assert line.tokens == (1_000_000 if kind in TOKEN_KINDS else None)


def test_caches_are_stored_by_the_hour_and_characters_are_no_tokens() -> None:
    hours = {"usage": {"amount": "3", "unit": "h"}}
    assert one_google("Gemini 2.5 Pro Text Input Caching Storage", **hours).kind == "capacity"
    characters = {"usage": {"amount": "3000", "unit": "characters"}}
    line = one_google("Gemini 1.5 Pro Text Input - Predictions", **characters)
    assert (line.kind, line.tokens) == ("other", None)


def test_a_flattened_table_and_a_day_of_another_zone_are_read_alike() -> None:
    flat = {
        "service_description": "Vertex AI",
        "sku_description": "Gemini 2.5 Flash GA Text Input - Predictions",
        "usage_start_time": "2026-11-05T23:30:00-08:00",
        "usage_amount": "1000000",
        "usage_unit": "requests",
        "cost": "0.3",
        "currency": "USD",
    }
    (line,) = google.read_lines([flat])
    assert (line.day, line.tokens) == ("2026-11-06", 1_000_000)
    dotted = {name.replace("_description", ".description"): v for name, v in flat.items()}
    assert next(google.read_lines([dotted])).model == "Gemini 2.5 Flash"


@pytest.mark.parametrize(
    ("billed", "known"),
    [
        ("Claude4.6Sonnet", "us.anthropic.claude-sonnet-4-6-20260501-v1:0"),
        ("Claude Sonnet 4.5", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("Claude3Sonnet", "anthropic.claude-3-sonnet-20240229-v1:0:200k"),
        ("Nova2.0Lite", "global.amazon.nova-2-lite-v1:0"),
        ("NovaPro", "amazon.nova-pro-v1:0"),
        ("openai.gpt-oss-120b", "openai.gpt-oss-120b-1:0"),
        ("DeepSeek-R1", "us.deepseek.r1-v1:0"),
        ("Llama3.3-70B", "us.meta.llama3-3-70b-instruct-v1:0"),
        ("MistralLarge", "mistral.mistral-large-2402-v1:0"),
        ("gpt 4o mini", "gpt-4o-mini"),
        ("Gemini 2.5 Flash", "gemini-2.5-flash"),
        ("Gemini 2.0 Flash", "gemini-2.0-flash-001"),
        ("Claude Sonnet 4.5", "claude-sonnet-4-5@20250929"),
    ],
)
def test_a_model_is_one_under_all_its_names(billed: str, known: str) -> None:
    if known == "openai.gpt-oss-120b-1:0":
        known = "openai.gpt-oss-120b"
    assert match_names([billed], [known], {}) == {billed: known}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gemini-2.5-flash", "gemini-2.5-flash-lite"),
        ("gpt-4o", "gpt-4o-mini"),
        ("claude-sonnet-4-5", "claude-sonnet-4-6"),
        ("llama3-3-70b", "llama3-70b"),
        ("gpt-5", "gpt-5.1"),
        ("claude-opus-4", "claude-sonnet-4"),
    ],
)
def test_models_that_share_words_are_not_one(one: str, other: str) -> None:
    assert words_of(one) != words_of(other)
    assert match_names([one], [other], {}) == {}


def test_a_person_says_what_no_words_say() -> None:
    mapped = {"gpt 4o": "chat-prod"}
    assert match_names(["gpt 4o"], ["chat-prod"], mapped) == {"gpt 4o": "chat-prod"}
    assert match_names(["gpt 4o"], ["chat-prod"], {}) == {}
    assert match_names([""], [""], {}) == {}


def book(model: str = "claude-sonnet-4-5", day: str = DAY, **more: Any) -> BookLine:
    tokens: dict[Kind, int] = {"input": 1000, "cache_read": 0, "cache_write": 0, "output": 100}
    tokens |= more.pop("tokens", {})
    line = BookLine(day, model, tokens, 4_500_000, 10, 0, 0, 0)
    return line._replace(**more)


def billed(kind: Kind, tokens: int | None, nanousd: int | None = 0, **more: Any) -> BillLine:
    return BillLine(DAY, "Claude4.5Sonnet", kind, tokens, nanousd, "words")._replace(**more)


SAME = [billed("input", 1000, 3_000_000), billed("output", 100, 1_500_000)]


def test_what_agrees_is_within_and_has_no_difference() -> None:
    found = reconcile([book()], SAME)
    (row,) = found.days
    assert found.is_within
    assert (row.input.difference, row.output.difference, row.nanousd.difference) == (0, 0, 0)
    assert row.nanousd.ratio == 0.0
    assert found.unmatched == []


def test_drift_is_shown_in_tokens_and_money_and_judged_by_the_tolerance() -> None:
    bill = [billed("input", 1020, 3_060_000), billed("output", 100, 1_500_000)]
    found = reconcile([book()], bill, tolerance=0.03)
    assert found.is_within
    found = reconcile([book()], bill, tolerance=0.01)
    (row,) = found.models
    assert not found.is_within
    assert (row.input.difference, row.nanousd.difference) == (-20, -60_000)
    assert row.input.ratio == pytest.approx(-20 / 1020)
    assert row.is_over


def test_a_kind_that_only_the_bill_knows_is_a_drift() -> None:
    bill = [*SAME, billed("cache_read", 500, 0)]
    (row,) = reconcile([book()], bill).models
    assert (row.cache_read.ledger, row.cache_read.bill, row.is_over) == (0, 500, True)
    (row,) = reconcile([book(tokens={"cache_read": 500})], SAME).models
    assert (row.cache_read.ratio, row.is_over) == (None, True)


def test_over_midnight_the_days_differ_and_the_model_does_not() -> None:
    late = [line._replace(day="2026-11-06") for line in SAME]
    found = reconcile([book()], late)
    assert [row.day for row in found.days] == [DAY, "2026-11-06"]
    assert all(row.is_over for row in found.days)
    assert found.days[0].input.bill is None, "nothing was billed on that day"
    assert found.is_within


def test_what_has_no_counterpart_is_listed_on_its_side() -> None:
    bill = [
        *SAME,
        billed("input", 7, 10**9, model="Mystery9"),
        billed("capacity", None, 5 * 10**9, model="", words="PTU"),
        billed("other", None, 10, model="", words="search"),
        billed("input", None, -(10**6), is_usage=False),
    ]
    found = reconcile([book(), book(model="titan")], bill)
    assert [(one.side, one.name) for one in found.unmatched] == [
        ("ledger", "titan"),
        ("bill", "Mystery9"),
        ("bill", "PTU"),
        ("bill", "search"),
    ]
    assert not found.is_within
    assert found.other_nanousd == -(10**6)
    with_capacity = reconcile([book()], [*SAME, bill[3]])
    assert with_capacity.is_within, "capacity has no tokens to be compared with"


def test_what_a_side_does_not_know_is_not_nothing() -> None:
    (row,) = reconcile([book(nanousd=None, unpriced=10)], SAME).models
    assert (row.nanousd.ledger, row.nanousd.bill, row.nanousd.difference) == (None, 4_500_000, None)
    assert row.is_over
    strange = [billed("input", None, 3_000_000), billed("output", 100, 1_500_000)]
    (row,) = reconcile([book()], strange).models
    assert (row.input.bill, row.is_over) == (None, True)


def test_regional_names_of_one_model_are_one_row() -> None:
    names = ("us.anthropic.claude-sonnet-4-5-v1:0", "eu.anthropic.claude-sonnet-4-5-v1:0")
    ours = [book(model=name) for name in names]
    twice = [line._replace(tokens=2 * (line.tokens or 0), nanousd=2 * (line.nanousd or 0))
             for line in SAME]  # fmt: skip
    found = reconcile(ours, twice)
    assert (len(found.models), found.is_within) == (1, True)


@given(
    st.lists(st.tuples(st.sampled_from(["a 1", "b 2", "c 3"]), st.integers(0, 3),
                       st.integers(0, 10**6)), max_size=30),
    st.lists(st.tuples(st.sampled_from(["a-1", "b-2"]), st.integers(0, 10**6)), max_size=10),
)  # fmt: skip
def test_no_token_and_no_money_is_lost(
    lines: list[tuple[str, int, int]], ours: list[tuple[str, int]]
) -> None:
    bill = [BillLine(DAY, m, TOKEN_KINDS[k], n, n, "w") for m, k, n in lines]
    found = reconcile([book(model=m, tokens={"input": n}, nanousd=n) for m, n in ours], bill)
    for rows in (found.days, found.models):
        matched = sum(row.nanousd.bill or 0 for row in rows)
        loose = sum(one.nanousd or 0 for one in found.unmatched if one.side == "bill")
        assert matched + loose == sum(line.nanousd or 0 for line in bill)
        kept = sum(row.nanousd.ledger or 0 for row in rows)
        alone = sum(one.nanousd or 0 for one in found.unmatched if one.side == "ledger")
        assert kept + alone == sum(n for _, n in ours)


def as_csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def test_a_file_is_read_whatever_it_is_packed_in(tmp_path: Path) -> None:
    text = as_csv([cur("USE1-NovaPro-input-tokens")]).encode("utf-8-sig")
    (tmp_path / "a.csv").write_bytes(text)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/a.csv", text)
    rows = [sku("Gemini 2.5 Flash Text Input - Predictions")] * 2
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "b.json").write_text(json.dumps(rows))
    (tmp_path / "c.json").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "d.csv").write_text(as_csv([meter("gpt 4o Inp glbl Tokens")]))
    for name in ("a.csv", "a.csv.gz", "a.zip"):
        (line,) = read_bill(tmp_path / name)
        assert (line.model, line.tokens) == ("NovaPro", 12_345)
    for name in ("b.jsonl", "b.json", "c.json"):
        assert [line.tokens for line in read_bill(tmp_path / name)] == [1_000_000] * 2
    assert next(read_bill(tmp_path / "d.csv")).model == "gpt 4o"


def test_parquet_holds_maps_and_moments(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    from datetime import datetime

    row = cur("USE1-MP:USE1_InputTokenCount-Units") | {
        "line_item_product_code": "x",
        "line_item_usage_amount": 12.345,
        "line_item_unblended_cost": 0.037035,
        "line_item_usage_start_date": datetime(2026, 11, 5),
        "product": [("product_name", "Claude Sonnet 4.5 (Amazon Bedrock Edition)")],
    }
    maps = arrow.map_(arrow.string(), arrow.string())
    arrays = {
        name: arrow.array([value], type=maps if name == "product" else None)
        for name, value in row.items()
    }
    parquet.write_table(arrow.table(arrays), tmp_path / "cur.parquet")
    (line,) = read_bill(tmp_path / "cur.parquet")
    assert (line.model, line.tokens, line.nanousd) == ("Claude Sonnet 4.5", 12_345, 37_035_000)
    assert line.day == DAY


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a,b\n1,2\n", b'{"a":1}\nnot json'])
def test_what_is_no_bill_is_said(tmp_path: Path, content: bytes) -> None:
    for name in ("x.csv", "x.jsonl", "x.csv.gz", "x.zip"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadRequest):
            list(read_bill(tmp_path / name))
    with pytest.raises(BadRequest):
        list(read_bill(tmp_path / "not-there.csv"))


def test_the_book_takes_the_parts_of_the_input_apart(tmp_path: Path) -> None:
    database = Database(tmp_path / "ledger.sqlite")
    open_schema(database)
    fields = {column.name: 0 for column in usage_by_day.columns}
    row = fields | {
        "day": DAY, "tenant": "t", "key": "k", "model": "m", "target": "aws/x/y",
        "service": "standard", "attempts": 3, "measured": 2, "estimated": 1, "input": 1000,
        "cached_input": 300, "cache_write": 100, "cache_write_1h": 50, "output": 7,
        "cost_nanousd": 99,
    }  # fmt: skip
    with database.write() as connection:
        others = [row | {"target": name} for name in ("aws2/x", "aw", "AWS/x")]
        connection.execute(usage_by_day.insert(), [row, row | {"tenant": "u"}, *others])
    (line,) = read_book(database, "aws", DAY, DAY)
    assert (line.model, line.nanousd, line.attempts, line.estimated) == ("x/y", 198, 6, 2)
    assert line.tokens == {"input": 1100, "cache_read": 600, "cache_write": 300, "output": 14}


DOCUMENT = """\
plane: books
providers:
  aws: {kind: openai-compatible, endpoint: "http://127.0.0.1:9/v1", credentials: [{api_key: env:X}]}
routing:
  m: {targets: [{provider: aws}]}
tenants: {acme: {}}
"""


def test_the_command_says_no_above_its_tolerance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plane.yaml").write_text(DOCUMENT)
    (tmp_path / "cur.csv").write_text(as_csv([cur("USE1-NovaPro-input-tokens")]))
    database = Database(tmp_path / ".towplane" / "ledger.sqlite")
    open_schema(database)
    row = {column.name: 0 for column in usage_by_day.columns} | {
        "day": DAY, "tenant": "t", "key": "k", "model": "m", "target": "aws/amazon.nova-pro-v1:0",
        "service": "standard", "attempts": 3, "measured": 3, "input": 12_300,
        "cost_nanousd": 36_900_000,
    }  # fmt: skip
    with database.write() as connection:
        connection.execute(usage_by_day.insert(), [row])
    command = ["tenants", "reconcile", "--provider", "aws", "--bill", str(tmp_path / "cur.csv"),
               "--file", str(tmp_path / "plane.yaml")]  # fmt: skip
    assert run([*command, "--json"]) == EXIT_DONE
    found = json.loads(capsys.readouterr().out)["reconciliation"]
    assert found["models"][0]["input"]["difference"] == -45
    assert run([*command, "--tolerance", "0.1%", "--by-day"]) == EXIT_NO
    shown = capsys.readouterr().out
    assert "over" in shown
    assert run([*command, "--map", "nonsense"]) == EXIT_USAGE
    assert run([*command[:3], "gone", *command[4:]]) == EXIT_NO
