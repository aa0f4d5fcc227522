"""FakeBedrock: `bedrock-runtime` on a real socket, with signatures checked, scripts and books."""

from towplane.testing.bedrock.book import BedrockBook, Bill
from towplane.testing.bedrock.script import ERRORS, GOOD, Break, Call, Script
from towplane.testing.bedrock.server import ACCOUNT, BEARER, FakeBedrock
from towplane.testing.bedrock.signature import Account

__all__ = [
    "ACCOUNT",
    "BEARER",
    "ERRORS",
    "GOOD",
    "Account",
    "BedrockBook",
    "Bill",
    "Break",
    "Call",
    "FakeBedrock",
    "Script",
]
