"""The ledger of usage and cost: see `book` for what it promises."""

from towplane.tenants.ledger.book import FoldResult, Ledger, Recovered
from towplane.tenants.ledger.usage import Only, UsageBy, UsageRow

__all__ = ["FoldResult", "Ledger", "Only", "Recovered", "UsageBy", "UsageRow"]
