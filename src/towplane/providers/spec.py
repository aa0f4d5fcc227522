"""The section `providers`: the managed APIs and servers that can answer, by name."""

from typing import Literal

from msgspec import field

from towplane.parts.section import Section
from towplane.parts.units import Date, Path, Secret, TokenPrice, Url


class Credential(Section, frozen=True, kw_only=True):
    """One credential of a provider."""

    api_key: Secret
    """Sent as `Authorization: Bearer`."""


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
    source: str = ""
    """Where the figure was read, for the person who checks it."""


class ProviderSpec(Section, frozen=True, kw_only=True):
    """One provider: `providers.NAME`."""

    kind: Literal["openai-compatible"]
    """Which API it speaks."""
    endpoint: Url
    """The base URL that clients of this API use, with its version path: `https://api.openai.com/v1`."""
    credentials: list[Credential] = []
    """None for a server that asks for none; of several the first is used."""
    ca: Path | None = None
    """A PEM file of the authorities to trust instead of the system's."""
    prices: dict[str, list[PriceSpec]] = {}
    """By the provider's model name; each list ordered by day."""
