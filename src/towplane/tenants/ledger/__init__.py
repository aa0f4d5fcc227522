"""The ledger of usage and cost: see `book` for what it promises."""

from towplane.tenants.ledger.book import FoldResult, Ledger, Recovered
from towplane.tenants.ledger.usage import UsageBy, UsageRow

__all__ = ["FoldResult", "Ledger", "Recovered", "UsageBy", "UsageRow"]
