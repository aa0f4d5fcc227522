"""What Bedrock's headers say of its limits: nothing.

Quotas (requests and tokens per minute, tokens per day) are kept per account, region and model, and
are seen in Service Quotas and in ThrottlingException alone: no answer says what is left (botocore
1.44.5 models no such header for any operation of bedrock-runtime). So the document's own
`limits.rpm` and `limits.tpm` are all there is to slow down by.
"""

from towplane.providers.adapter import Allowance, Fields

__all__ = ["read_allowance"]


def read_allowance(fields: Fields) -> Allowance | None:  # noqa: ARG001  # every adapter's signature
    """None: Bedrock does not say."""
    return None
