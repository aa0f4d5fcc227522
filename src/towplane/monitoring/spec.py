"""The section `monitoring`: what is measured and kept."""

from msgspec import field

from towplane.parts.section import Section
from towplane.parts.units import Duration


class MonitoringSpec(Section, frozen=True, kw_only=True):
    """`monitoring` of the document."""

    access_log: bool = False
    """One JSON line per request on standard error; holds no prompt, no answer and no key."""
    keep_attempts_s: Duration = field(name="keep_attempts", default=90 * 86400.0)
    """How long the ledger keeps single attempts; the sums by day are kept for good."""
