"""Credentials in the plane process: from references in the document to what workers send.

`open_credentials` makes a `Source` of each credential of a provider, `Refresher` keeps what they
issue fresh. A cloud's own package is imported only by the module made for it, and only when a
credential of that cloud is got.
"""

from towplane.providers.credentials.pools import open_credentials
from towplane.providers.credentials.refresher import CredentialState, Refresher
from towplane.providers.credentials.source import Issued, Source

__all__ = ["CredentialState", "Issued", "Refresher", "Source", "open_credentials"]
