"""A model's chat template, rendered as vLLM renders it.

vLLM hands the messages of a chat to the template with some of their shape changed (its
`entrypoints/chat_utils.py`, 0.9 to 0.13): text parts become one text, unless the template itself
looks into the parts; the arguments of tool calls become objects; tools get every field. The
environment is that of `transformers` (`utils/chat_template_utils.py`, 4.57): a sandbox, blocks
trimmed, `tojson` that leaves characters as they are.

The law: a request that may be rendered in another way there gives None: one with pictures, with a
template or documents of its own, or with what an engine may have been told to do with it.
"""

import json
from datetime import datetime
from typing import Any, NoReturn

import msgspec

__all__ = ["ChatTemplate"]

Messages = list[dict[str, Any]]

_OTHERWISE = frozenset(
    ("chat_template", "documents", "continue_final_message", "mm_processor_kwargs",
     "reasoning_effort", "truncate_prompt_tokens", "functions")
)  # fmt: skip
"""Fields that change what is rendered in ways that differ from version to version."""
_TEXTS = ("text", "input_text", "output_text", "refusal")
_decode = msgspec.json.Decoder().decode


class ChatTemplate:
    """One template with its model's special tokens."""

    def __init__(self, source: str, special: dict[str, str]) -> None:
        """Raises ValueError for a template that is none."""
        # Only here: a worker loads it where a route names a tokenizer.
        from jinja2 import TemplateError, nodes
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _generation()]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)  # as there
        try:
            self._template = environment.from_string(source)
            self._looks_into_parts = _looks_into_parts(environment.parse(source), nodes)
        except TemplateError as error:
            raise ValueError(f"its chat template is none: {error}") from None
        self._special = special

    def render(self, fields: dict[str, msgspec.Raw]) -> str | None:
        """The prompt of a chat; None: it cannot be known."""
        if not _OTHERWISE.isdisjoint(fields):
            return None
        try:
            messages = [self._message(one) for one in _decode(fields["messages"])]
            tools = _tools(_decode(fields["tools"])) if "tools" in fields else None
            more = _given(fields, "chat_template_kwargs") or {}
            generates = _given(fields, "add_generation_prompt")
            return self._template.render(
                **{
                    **self._special,
                    "messages": messages,
                    "tools": tools,
                    "documents": None,
                    "add_generation_prompt": generates is not False,
                    **more,
                }
            )
        except Exception:  # noqa: BLE001  # a template is somebody's program: whatever it raises
            return None

    def _message(self, said: dict[str, Any]) -> dict[str, Any]:
        parts = said.get("content")
        texts = [parts] if isinstance(parts, str) else [_text(one) for one in parts or ()]
        message: dict[str, Any] = {"role": said["role"]}
        if self._looks_into_parts:
            message["content"] = [{"type": "text", "text": text} for text in texts]
        else:
            message["content"] = "\n".join(texts)
        if said["role"] == "assistant" and said.get("tool_calls"):
            message["tool_calls"] = [_call(one) for one in said["tool_calls"]]
        if said["role"] == "tool" and "tool_call_id" in said:
            message["tool_call_id"] = said["tool_call_id"]
        if isinstance(said.get("name"), str):
            message["name"] = said["name"]
        for name in ("reasoning", "reasoning_content", "tools"):
            if said.get(name):
                raise ValueError(name)  # what becomes of it differs from version to version
        return message


def _text(part: Any) -> str:
    """Of a part that is text. Raises ValueError for any other."""
    if isinstance(part, str):
        return part
    if part.get("type") not in _TEXTS:
        raise ValueError("a part that is not text")
    text = part.get("text", part.get("refusal"))
    if not isinstance(text, str):
        raise ValueError("a part without text")  # all of them are one to the caller
    return text


def _call(said: dict[str, Any]) -> dict[str, Any]:
    function = dict(said["function"])
    arguments = function.get("arguments")
    if isinstance(arguments, str) and arguments:
        function["arguments"] = json.loads(arguments)
    elif not arguments:
        function["arguments"] = {}
    return {**said, "function": function}


def _tools(said: Any) -> list[dict[str, Any]] | None:
    """With every field of vLLM's own structs, in their order."""
    if not said:
        return None
    return [
        {
            "type": one.get("type", "function"),
            "function": {"name": None, "description": None, "parameters": None, **one["function"]},
        }
        for one in said
    ]


def _given(fields: dict[str, msgspec.Raw], name: str) -> Any:
    return _decode(fields[name]) if name in fields else None


def _to_json(value: Any, **options: Any) -> str:
    """Without the escapes for HTML that Jinja's own has."""
    return json.dumps(value, **{"ensure_ascii": False, **options})


def _refuse(words: str) -> NoReturn:
    raise ValueError(words)


def _generation() -> type:
    """The block `generation`, which marks what an assistant said, and changes nothing here."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012  # as its base has it

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True))

    return Generation


def _looks_into_parts(root: Any, nodes: Any) -> bool:
    """Whether the template goes through the parts of a content: only then it gets them."""

    def bare(node: Any) -> Any:
        while isinstance(node, (nodes.Filter, nodes.Test)) or (
            isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice)
        ):
            node = node.node
        return node

    def is_content(node: Any) -> bool:
        node = bare(node)
        if isinstance(node, nodes.Getattr):
            return bool(node.attr == "content")
        if isinstance(node, nodes.Getitem):
            return isinstance(node.arg, nodes.Const) and node.arg.value == "content"
        return isinstance(node, nodes.Name) and node.name in aliases

    aliases: set[str] = set()
    sets = [one for one in root.find_all(nodes.Assign) if isinstance(one.target, nodes.Name)]
    for _ in sets:  # an alias may have an alias
        aliases |= {one.target.name for one in sets if is_content(one.node)}
    return any(is_content(loop.iter) for loop in root.find_all(nodes.For))
