"""What routing and accounting need of a Messages request, and the same request for an upstream.

What goes up is made of what was read, so that a key that stands twice in a body cannot mean one
thing here and another upstream; every other field goes as it came, known or not.
"""

import msgspec

from towplane.providers.ask import Ask, read_field

__all__ = ["body_for", "body_for_cloud", "note"]

_flag = msgspec.json.Decoder(bool | None)
_count = msgspec.json.Decoder(int | None)
_words = msgspec.json.Decoder(list[str])
_encode = msgspec.json.Encoder().encode
_TRUE = msgspec.Raw(b"true")


def note(ask: Ask) -> None:
    """Stream and limit, into `ask`. Raises BadRequest, naming the parameter."""
    if not ask.operation.generates:
        return
    fields = ask.fields
    stream = fields.get("stream")
    if stream is not None:
        ask.stream = stream == _TRUE or bool(read_field(_flag, stream, "stream", "true or false"))
    limit = fields.get("max_tokens")
    if limit is not None:
        tokens = read_field(_count, limit, "max_tokens", "a whole number")
        # 0 only fills the prompt cache (anthropic 2.12.0 `types/message_create_params.py`).
        ask.output_limit = tokens if tokens is not None and tokens >= 0 else None


def body_for(ask: Ask, model: str) -> bytes:
    """The body for an upstream that speaks this dialect and knows the model as `model`."""
    fields = ask.fields
    fields["model"] = msgspec.Raw(_encode(model))
    return _encode(fields)


def body_for_cloud(ask: Ask, anthropic_version: str, stream: bool | None) -> bytes:
    """The body for a cloud that names the model in the path and the version in the body.

    Bedrock's InvokeModel (`stream` None) also says in the path whether it streams, and takes betas
    in the body; Vertex's rawPredict takes `stream` in the body and betas as the header they are
    (anthropic 2.12.0 `lib/bedrock/_client.py`, `lib/vertex/_client.py`).
    """
    fields = {name: raw for name, raw in ask.fields.items() if name not in ("model", "stream")}
    fields.setdefault("anthropic_version", msgspec.Raw(_encode(anthropic_version)))
    if stream:
        fields["stream"] = _TRUE
    betas = _betas(ask)
    if stream is None and betas:
        said = fields.get("anthropic_beta")
        if said is not None:
            first = read_field(_words, said, "anthropic_beta", "a list of strings")
            betas = first + [beta for beta in betas if beta not in first]
        fields["anthropic_beta"] = msgspec.Raw(_encode(betas))
    return _encode(fields)


def _betas(ask: Ask) -> list[str]:
    header = ask.version_headers.get(b"anthropic-beta", b"").decode("latin-1")
    return [beta.strip() for beta in header.split(",") if beta.strip()]
