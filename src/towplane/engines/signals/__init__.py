"""What running engines say of themselves in their metrics: a table for each kind, one reader.

Engines call the same things by different names, and change the names between versions. Here they
become one `Reading`. Pure: a page's text in, a value out; asking for the page is the gateway's.
"""

from towplane.engines.signals.page import Reading, read_page
from towplane.engines.signals.tables import TABLES, Table

__all__ = ["TABLES", "Reading", "Table", "read_page"]
