"""Human units of `plane.yaml`: what a field's text means, and the value it becomes.

A field of a section says its unit in its type (`Duration`, `Size`, `Share`, `Money`, ...). The
document reads the text through `PARSERS[unit]`; JSON Schema is made from the same table. This
module knows no section and no file.
"""

from typing import Annotated

from msgspec import Meta

Duration = Annotated[float, Meta(extra={"unit": "duration"})]
"""Seconds as a float; written `250ms`, `2s`, `10m`, `1h`, `7d`."""

Size = Annotated[int, Meta(extra={"unit": "size"})]
"""Bytes; written `512 KiB`, `32 MiB`, `1 GB`, or a plain number of bytes."""

Share = Annotated[float, Meta(extra={"unit": "share"})]
"""A share from 0 to 1; written `20%` or `0.2`."""

Count = Annotated[int, Meta(extra={"unit": "count"})]
"""A whole number, not negative; `400_000` and `400k` are allowed."""

Rate = Annotated[float, Meta(extra={"unit": "rate"})]
"""Events per second; written `3/s`, `600/m`, `10/h`."""

Money = Annotated[int, Meta(extra={"unit": "money"})]
"""Whole nano-dollars; written `2000 USD`, `0.15 USD`."""

TokenPrice = Annotated[int, Meta(extra={"unit": "token_price"})]
"""Nano-dollars per one million tokens; written `0.15 USD/Mtok`."""

Secret = Annotated[str, Meta(extra={"unit": "secret"})]
"""A reference, `env:NAME` or `file:PATH`; never the value itself."""

Address = Annotated[str, Meta(extra={"unit": "address"})]
"""`host:port`; port 0 asks the system for a free one."""

Url = Annotated[str, Meta(extra={"unit": "url"})]
"""An absolute http or https URL."""

Path = Annotated[str, Meta(extra={"unit": "path"})]
"""A file path; a relative one is taken from the document's folder."""

Date = Annotated[str, Meta(extra={"unit": "date"})]
"""A day, ISO 8601, UTC: `2026-11-23`."""
