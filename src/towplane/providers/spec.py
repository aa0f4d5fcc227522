"""The section `providers`: the managed APIs and servers that can answer, by name.

`kind` says which API a provider speaks, and with it which other keys its section has.
"""

from typing import Literal

from msgspec import field

from towplane.parts.section import Section
from towplane.parts.units import (
    Address,
    AtLeastOne,
    Count,
    Date,
    Money,
    Path,
    Secret,
    Timeout,
    TokenPrice,
    Url,
)
from towplane.providers.discover import Discover

__all__ = [
    "AnthropicSpec",
    "AzureCredential",
    "AzureOpenAISpec",
    "BedrockCredential",
    "BedrockSpec",
    "Egress",
    "KeyCredential",
    "OpenAICompatibleSpec",
    "OpenAISpec",
    "PriceSpec",
    "ProviderLimits",
    "ProviderSpec",
    "Provisioned",
    "VertexCredential",
    "VertexSpec",
]


class KeyCredential(Section, frozen=True, kw_only=True):
    """A key of a provider that knows keys only."""

    api_key: Secret
    """Sent as the provider wants it: `Authorization: Bearer`, or `x-api-key` at Anthropic."""


class BedrockCredential(Section, frozen=True, kw_only=True):
    """A credential of AWS: exactly one of the ways, with a role to assume on top where wanted."""

    access_key: Secret | None = None
    """A static key, with `secret_key` and perhaps `session_token`."""
    secret_key: Secret | None = None
    """The secret of `access_key`."""
    session_token: Secret | None = None
    """Of a temporary `access_key`."""
    profile: str | None = None
    """A profile of the AWS configuration files, with whatever it says."""
    instance: bool = False
    """The role of the instance, the task or the pod."""
    bearer: Secret | None = None
    """A Bedrock API key, sent as `Authorization: Bearer`."""
    role: str | None = None
    """The ARN of a role to assume, starting from the credential above it, or from none of them with
    `web_identity`."""
    external_id: Secret | None = None
    """What the role's owner wants to hear."""
    web_identity: Path | None = None
    """A file with an OIDC token, exchanged for `role`."""
    session_name: str = "towplane"
    """How the role's sessions are called in CloudTrail."""


class AzureCredential(Section, frozen=True, kw_only=True):
    """A credential of Azure: a key, or exactly one way to a token of Entra."""

    api_key: Secret | None = None
    """Sent as `api-key`."""
    tenant_id: str | None = None
    """The Entra tenant, for a client secret, a certificate or workload identity."""
    client_id: str | None = None
    """The application; with `managed_identity` the user-assigned one."""
    client_secret: Secret | None = None
    """The application's secret."""
    certificate: Path | None = None
    """A PEM file with the application's certificate and key."""
    managed_identity: bool = False
    """The identity of the machine."""
    workload_identity: Path | None = None
    """A file with a federated token."""


class VertexCredential(Section, frozen=True, kw_only=True):
    """A credential of Google Cloud: exactly one of the ways."""

    service_account: Secret | None = None
    """A service account's key, in JSON."""
    federation: Path | None = None
    """A workload identity federation configuration, in JSON."""
    application_default: bool = False
    """What the environment offers: `gcloud`'s login, or the metadata server."""
    api_key: Secret | None = None
    """An express mode key, sent as `x-goog-api-key`."""


class TierSpec(Section, frozen=True, kw_only=True):
    """Other prices for a request whose input is longer than `above`."""

    above: Count
    """Input tokens; the price of the whole request changes."""
    input: TokenPrice
    """Input tokens."""
    output: TokenPrice
    """Output tokens."""
    cached_input: TokenPrice | None = None
    """Absent: as `input`."""
    cache_write: TokenPrice | None = None
    """Absent: as `input`."""
    cache_write_1h: TokenPrice | None = None
    """Absent: as `cache_write`."""


class ClassSpec(Section, frozen=True, kw_only=True):
    """The prices of another service class, such as batch, priority or flex."""

    input: TokenPrice
    """Input tokens."""
    output: TokenPrice
    """Output tokens."""
    cached_input: TokenPrice | None = None
    """Absent: as `input`."""
    cache_write: TokenPrice | None = None
    """Absent: as `input`."""
    cache_write_1h: TokenPrice | None = None
    """Absent: as `cache_write`."""
    tiers: list[TierSpec] = []
    """Prices of long requests, ascending; absent where the model has some: unknown for them."""


class PriceSpec(Section, frozen=True, kw_only=True):
    """What one model costs from a day on, per million tokens. A missing price is unknown, not 0."""

    since: Date = field(name="from")
    """The day, UTC, from which the price holds."""
    input: TokenPrice
    """Input tokens."""
    output: TokenPrice
    """Output tokens, reasoning included."""
    cached_input: TokenPrice | None = None
    """Price of input tokens read from the provider's cache; absent: as `input`."""
    cache_write: TokenPrice | None = None
    """Input tokens written to the provider's cache; absent: as `input`."""
    cache_write_1h: TokenPrice | None = None
    """Input tokens written to a cache of an hour or longer; absent: as `cache_write`."""
    audio_input: TokenPrice | None = None
    """Audio in the input; absent: as `input`."""
    audio_output: TokenPrice | None = None
    """Audio in the output; absent: as `output`."""
    image_input: TokenPrice | None = None
    """Images in the input; absent: as `input`."""
    image_output: TokenPrice | None = None
    """Images in the output; absent: as `output`."""
    search: Money | None = None
    """One call of a tool of the provider's own, such as a web search; absent: unknown."""
    tiers: list[TierSpec] = []
    """Prices of long requests, ascending."""
    classes: dict[Literal["batch", "priority", "flex", "fast"], ClassSpec] = {}
    """Prices of other service classes."""
    source: str = ""
    """Where the figure was read, for the person who checks it."""


class Provisioned(Section, frozen=True, kw_only=True):
    """Capacity that is paid for by the hour, used or not (PTU, provisioned throughput)."""

    models: list[str]
    """The provider's model names (or deployments) that it serves."""
    hourly: Money
    """Price of all of it for one hour."""
    since: Date = field(name="from")
    """The day, UTC, from which it is paid for."""
    until: Date | None = None
    """The day on which it ends; absent: it goes on."""
    units: Count = 1
    """How many units that is, for the reports."""
    tpm: Count | None = None
    """Input tokens a minute that all of it can take, output counted at its weight; absent: an hour
    in which anybody used it is shared out whole."""
    source: str = ""
    """Where the figure was read."""


class ProviderLimits(Section, frozen=True, kw_only=True):
    """What the provider allows; the plane slows itself down before it is told to."""

    rpm: Count | None = None
    """Requests per minute, of all credentials together."""
    tpm: Count | None = None
    """Tokens per minute, input and output together."""
    concurrency: Count | None = None
    """Requests at the same time."""


class Egress(Section, frozen=True, kw_only=True):
    """How the provider is reached."""

    proxy: Url | None = None
    """An HTTP proxy; TLS to the provider goes through it by CONNECT."""
    proxy_authorization: Secret | None = None
    """`USER:PASSWORD` for the proxy."""
    ca: Path | None = None
    """A PEM file of the authorities to trust instead of the system's."""
    certificate: Path | None = None
    """A PEM file with the client certificate for mutual TLS."""
    certificate_key: Path | None = None
    """Its key, if it is in a file of its own."""
    address: Address | None = None
    """Connect here, whatever the name says: a pinned host or a private endpoint. TLS still checks
    the name in the endpoint."""


class EngineSignals(Section, frozen=True, kw_only=True):
    """The metrics of a server that is an engine, for policies that look at its queue and cache."""

    engine: Literal["vllm", "sglang", "tensorrt-llm", "lmdeploy", "llama.cpp"]
    """Which one: each has names of its own."""
    path: str | None = None
    """Where its page is, from the root of the server; absent: where this engine has it."""
    every_s: Timeout = field(name="every", default=1.0)
    """How often it is asked, give or take a tenth. News of three intervals ago is not believed."""
    timeout_s: Timeout = field(name="timeout", default=2.0)
    """How long an answer may take; a busy engine is slow to say how busy it is."""
    events: str | None = None
    """Where vLLM publishes what its cache keeps (`endpoint` of its `--kv-events-config`), as
    `tcp://10.0.0.7:5557`; `tcp://*:5557`: the same host as the endpoint, or as each address behind
    it. Absent: nobody listens."""
    replay: str | None = None
    """Where missed events are asked for (`replay_endpoint`), as `tcp://*:5558`. Without it all that
    is known of a cache is forgotten when an event is missed."""
    topic: str = ""
    """Only events of topics that begin so are read."""
    blocks: AtLeastOne = 100_000
    """Blocks that are remembered of its cache: about 100 bytes each in every worker, and 200 in the
    plane process."""


class _Provider(Section, frozen=True, kw_only=True):
    """What every kind has."""

    limits: ProviderLimits = ProviderLimits()
    """What the provider allows."""
    egress: Egress = Egress()
    """How it is reached."""
    prices: dict[str, list[PriceSpec]] = {}
    """By the provider's model name; each list ordered by day. They go before the price book's."""
    provisioned: list[Provisioned] = []
    """Capacity that is paid for by the hour."""


class OpenAICompatibleSpec(
    _Provider, frozen=True, kw_only=True, tag_field="kind", tag="openai-compatible"
):
    """Any server that speaks OpenAI's API."""

    endpoint: Url
    """The base URL that clients of this API use, with its version path: `http://10.0.0.7:8000/v1`."""
    credentials: list[KeyCredential] = []
    """None for a server that asks for none."""
    apis: list[Literal["responses", "messages"]] = []
    """What it speaks by itself besides chat, completions and embeddings."""
    ca: Path | None = None
    """As `egress.ca`."""
    signals: EngineSignals | None = None
    """Whether it is asked for its metrics; absent: it is not."""
    discover: Discover | None = None
    """Where the addresses behind it come from; absent: there is one, the endpoint's. TLS and the
    Host header keep the endpoint's name."""


class OpenAISpec(_Provider, frozen=True, kw_only=True, tag_field="kind", tag="openai"):
    """OpenAI's own API."""

    endpoint: Url = "https://api.openai.com/v1"
    """Its base URL; a data residency host where you have one."""
    credentials: list[KeyCredential]
    """A pool: what one key may not do now, the next may."""
    organization: str | None = None
    """Sent as `OpenAI-Organization`."""
    project: str | None = None
    """Sent as `OpenAI-Project`."""


class AnthropicSpec(_Provider, frozen=True, kw_only=True, tag_field="kind", tag="anthropic"):
    """Anthropic's own API."""

    endpoint: Url = "https://api.anthropic.com"
    """Its base URL, without a version path."""
    credentials: list[KeyCredential]
    """A pool: what one key may not do now, the next may."""


class AzureOpenAISpec(_Provider, frozen=True, kw_only=True, tag_field="kind", tag="azure-openai"):
    """Azure OpenAI and Foundry; the models are the names of deployments."""

    endpoint: Url
    """The resource: `https://NAME.openai.azure.com`."""
    credentials: list[AzureCredential]
    """A pool: what one may not do now, the next may."""
    api_version: str | None = None
    """Absent: the v1 API; given: deployment URLs with this `api-version`."""
    spillover: dict[str, str] = {}
    """By deployment: the deployment that takes what a provisioned one has no room for, sent as
    `x-ms-spillover-deployment`."""


class BedrockSpec(_Provider, frozen=True, kw_only=True, tag_field="kind", tag="bedrock"):
    """Amazon Bedrock in one region; the models are model ids, inference profiles or ARNs."""

    region: str
    """Where it is called: `us-east-1`. A cross-region profile chooses further by itself."""
    credentials: list[BedrockCredential]
    """A pool: what one may not do now, the next may."""
    endpoint: Url | None = None
    """A private endpoint or another host; absent: `https://bedrock-runtime.REGION.amazonaws.com`."""
    service: Literal["priority", "default", "flex", "reserved"] | None = None
    """The service tier of requests that ask for none."""
    api: Literal["auto", "converse", "invoke", "openai"] = "auto"
    """How models are called: `auto` is InvokeModel for Anthropic's own dialect, Converse for the
    rest; `openai` is Bedrock's OpenAI-compatible endpoint."""


class VertexSpec(_Provider, frozen=True, kw_only=True, tag_field="kind", tag="vertex"):
    """Vertex AI; `gemini-…` models speak Gemini, `claude-…` ones Anthropic's dialect."""

    project: str = ""
    """The Google Cloud project; empty only in express mode."""
    location: str = "global"
    """A region (`europe-west4`), a multi-region (`us`, `eu`) or `global`."""
    credentials: list[VertexCredential]
    """A pool: what one may not do now, the next may."""
    endpoint: Url | None = None
    """A private endpoint or another host; absent: the host of the location."""
    api: Literal["auto", "openai"] = "auto"
    """`openai` uses the OpenAI-compatible endpoint for all models that are not `claude-…`."""


ProviderSpec = (
    OpenAICompatibleSpec | OpenAISpec | AnthropicSpec | AzureOpenAISpec | BedrockSpec | VertexSpec
)
"""One provider: `providers.NAME`."""
