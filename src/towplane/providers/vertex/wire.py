"""The wire of Gemini's generateContent on Vertex AI: what goes up, what comes back.

Types only. Fields that the plane does not need are not here, and msgspec skips them; what must not
be lost in silence (pictures, code that was run) is here as `Raw`, to be seen. Names and meanings:
google-genai 3.4.0 `types.py`; JSON in lower camel case, as protobuf writes it.
"""

import msgspec

__all__ = [
    "Candidate",
    "Citation",
    "Content",
    "Detail",
    "Failure",
    "FunctionCall",
    "FunctionCallingConfig",
    "FunctionDeclaration",
    "FunctionResponse",
    "GenerationConfig",
    "Grounding",
    "LogprobsResult",
    "Media",
    "Modality",
    "Part",
    "Request",
    "Response",
    "SentPart",
    "Support",
    "Thinking",
    "Tool",
    "ToolConfig",
    "UsageMetadata",
    "Violation",
    "is_there",
]

Raw = msgspec.Raw
ABSENT = msgspec.Raw(b"")
"""msgspec takes no `Raw | None`; this is what stands where nothing came."""


def is_there(raw: Raw) -> bool:
    """Whether a field came with a value."""
    return bool(raw) and raw != b"null"


class Media(msgspec.Struct, rename="camel", omit_defaults=True):
    """`inlineData` (base64) or `fileData` (an address); both say what it is."""

    mime_type: str
    data: str = ""
    file_uri: str = ""


class SentCall(msgspec.Struct, omit_defaults=True):
    """A call of an earlier turn, going back."""

    name: str
    args: Raw
    id: str = ""


class FunctionResponse(msgspec.Struct, omit_defaults=True):
    """What a tool said; `response` is an object with `output` or `error`."""

    name: str
    response: dict[str, str]
    id: str = ""
    parts: list["SentPart"] = []


class SentPart(msgspec.Struct, rename="camel", omit_defaults=True):
    """One part of a content that goes up: exactly one kind of data is set."""

    text: str | None = None
    thought: bool = False
    inline_data: Media | None = None
    file_data: Media | None = None
    function_call: SentCall | None = None
    function_response: FunctionResponse | None = None
    thought_signature: str = ""
    media_resolution: dict[str, str] = {}


class Content(msgspec.Struct, omit_defaults=True):
    """Parts of one role: `user` or `model`; none for the system's instruction."""

    parts: list[SentPart]
    role: str = ""


class FunctionDeclaration(msgspec.Struct, rename="camel", omit_defaults=True):
    """A tool; its schema goes as the client wrote it."""

    name: str
    description: str = ""
    parameters_json_schema: Raw | msgspec.UnsetType = msgspec.UNSET


class Tool(msgspec.Struct, rename="camel"):
    """All functions stand in one tool."""

    function_declarations: list[FunctionDeclaration]


class FunctionCallingConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    """`AUTO`, `ANY`, `NONE` or `VALIDATED`."""

    mode: str
    allowed_function_names: list[str] = []


class ToolConfig(msgspec.Struct, rename="camel"):
    """Which tools may be called."""

    function_calling_config: FunctionCallingConfig


class Thinking(msgspec.Struct, rename="camel", omit_defaults=True):
    """`thinkingConfig`: a budget or a level, never both."""

    thinking_budget: int | None = None
    thinking_level: str = ""
    include_thoughts: bool = False


class GenerationConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    """`generationConfig`."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] = []
    seed: int | None = None
    candidate_count: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool = False
    logprobs: int | None = None
    response_mime_type: str = ""
    response_json_schema: Raw | msgspec.UnsetType = msgspec.UNSET
    thinking_config: Thinking | Raw | None = None


class Request(msgspec.Struct, rename="camel", omit_defaults=True):
    """The body of generateContent, and most of countTokens's."""

    contents: list[Content]
    system_instruction: Content | None = None
    tools: list[Tool] = []
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None
    cached_content: Raw | None = None
    safety_settings: Raw | None = None
    labels: Raw | None = None


class FunctionCall(msgspec.Struct, rename="camel", gc=False):
    """A call that the model makes."""

    name: str = ""
    args: Raw = ABSENT
    id: str | None = None
    partial_args: Raw = ABSENT
    will_continue: bool = False


class Part(msgspec.Struct, rename="camel", gc=False):
    """One part of an answer."""

    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Raw = ABSENT
    file_data: Raw = ABSENT
    executable_code: Raw = ABSENT
    code_execution_result: Raw = ABSENT


class _Content(msgspec.Struct, gc=False):
    parts: list[Part] | None = None


class Citation(msgspec.Struct, rename="camel"):
    """Where the model's words stand elsewhere."""

    uri: str = ""
    title: str = ""


class _Citations(msgspec.Struct):
    citations: list[Citation] = []


class _Page(msgspec.Struct):
    uri: str = ""
    title: str = ""


class _Chunk(msgspec.Struct, rename="camel"):
    web: _Page | None = None
    retrieved_context: _Page | None = None
    maps: _Page | None = None


class _Segment(msgspec.Struct):
    text: str = ""


class Support(msgspec.Struct, rename="camel"):
    """Which sources a piece of the answer rests on."""

    segment: _Segment | None = None
    grounding_chunk_indices: list[int] = []


class Grounding(msgspec.Struct, rename="camel"):
    """What a search of the provider's own found."""

    web_search_queries: list[str] = []
    grounding_chunks: list[_Chunk] = []
    grounding_supports: list[Support] = []


class _Token(msgspec.Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _Tokens(msgspec.Struct):
    candidates: list[_Token] = []


class LogprobsResult(msgspec.Struct, rename="camel"):
    """Log probabilities of the tokens of this piece."""

    chosen_candidates: list[_Token] = []
    top_candidates: list[_Tokens] = []


class Candidate(msgspec.Struct, rename="camel", gc=False):
    """One sample, or the next piece of it."""

    content: _Content | None = None
    finish_reason: str | None = None
    index: int = 0
    citation_metadata: _Citations | None = None
    grounding_metadata: Grounding | None = None
    logprobs_result: LogprobsResult | None = None


class Modality(msgspec.Struct, rename="camel", gc=False):
    """Tokens of one modality."""

    modality: str = ""
    token_count: int = 0


class UsageMetadata(msgspec.Struct, rename="camel", gc=False):
    """Counters, cumulative in a stream; before its end Vertex often tells `trafficType` alone."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    total_token_count: int | None = None
    traffic_type: str = ""
    prompt_tokens_details: list[Modality] | None = None
    tool_use_prompt_tokens_details: list[Modality] | None = None
    candidates_tokens_details: list[Modality] | None = None


class _PromptFeedback(msgspec.Struct, rename="camel"):
    block_reason: str = ""


class Violation(msgspec.Struct, rename="camel"):
    """One quota that is used up."""

    quota_id: str = ""
    quota_metric: str = ""
    subject: str = ""
    description: str = ""


class Detail(msgspec.Struct, rename="camel"):
    """One of `google.rpc`'s details: RetryInfo, QuotaFailure or ErrorInfo."""

    retry_delay: str = ""
    violations: list[Violation] = []
    reason: str = ""


class Failure(msgspec.Struct):
    """`google.rpc.Status` as JSON; also OpenAI's and Anthropic's objects, which have a `type`."""

    code: int | str | None = None
    message: str | None = None
    status: str | None = None
    type: str | None = None
    details: Raw = ABSENT


class Response(msgspec.Struct, rename="camel", gc=False):
    """A whole answer, or one chunk of a stream."""

    candidates: list[Candidate] | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str = ""
    response_id: str = ""
    create_time: str = ""
    prompt_feedback: _PromptFeedback | None = None
    error: Raw = ABSENT
