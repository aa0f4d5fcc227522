"""The providers of the matrix: for each an emulator, its section of `plane.yaml`, and how it is
told to behave. The columns of the matrix are `UPSTREAMS`, in their order."""

from towplane.testing.conversation.upstreams.anthropic import Anthropic
from towplane.testing.conversation.upstreams.bedrock import (
    BedrockConverse,
    BedrockInvoke,
    BedrockOpenAI,
)
from towplane.testing.conversation.upstreams.openai import (
    AzureDeployments,
    AzureV1,
    Compatible,
    OpenAI,
)
from towplane.testing.conversation.upstreams.upstream import Act, Bill, Emulators, Upstream
from towplane.testing.conversation.upstreams.vertex import VertexClaude, VertexGemini, VertexOpenAI

__all__ = ["UPSTREAMS", "Act", "Bill", "Emulators", "Upstream"]

UPSTREAMS: dict[str, type[Upstream]] = {
    kind.name: kind
    for kind in (
        Compatible,
        OpenAI,
        AzureV1,
        AzureDeployments,
        Anthropic,
        BedrockConverse,
        BedrockInvoke,
        BedrockOpenAI,
        VertexGemini,
        VertexClaude,
        VertexOpenAI,
    )
}
"""By name, in the order of the columns."""
