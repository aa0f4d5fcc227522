"""What Gemini refuses in a request, in its own words where they are publicly known.

Unknown fields, roles, parts, the pairing of calls and results, signatures that it did not make,
budgets and levels that a model lacks. Pure: a body in, a `Refusal` or nothing out.
"""

import base64
import binascii
import json
import re
from typing import Any

from towplane.testing.vertex.errors import Refusal
from towplane.testing.vertex.signatures import UNSIGNED, is_ours, seal_call
from towplane.testing.vertex.where import Model

__all__ = ["IMAGE_TOKENS", "check", "count", "plain"]

JSON = dict[str, Any]
IMAGE_TOKENS = 258
"""Of a small picture (Google Cloud, "Image understanding", Gemini 2)."""
_SECOND_TOKENS = 32
"""Of a second of sound."""

_BODY = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "labels",
         "safetySettings", "cachedContent", "modelArmorConfig", "serviceTier"}  # fmt: skip
_COUNT_BODY = {"contents", "systemInstruction", "tools", "generationConfig", "model", "instances"}
_CONFIG = {"temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences",
           "responseLogprobs", "logprobs", "presencePenalty", "frequencyPenalty", "seed",
           "responseMimeType", "responseSchema", "responseJsonSchema", "routingConfig",
           "modelConfig", "responseModalities", "mediaResolution", "speechConfig",
           "audioTimestamp", "thinkingConfig", "imageConfig", "enableAffectiveDialog"}  # fmt: skip
_PART = {"text", "thought", "thoughtSignature", "inlineData", "fileData", "functionCall",
         "functionResponse", "executableCode", "codeExecutionResult", "videoMetadata",
         "mediaResolution"}  # fmt: skip
_DATA = ("text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode",
         "codeExecutionResult")  # fmt: skip
_INNER = {
    "inlineData": {"mimeType", "data", "displayName"},
    "fileData": {"mimeType", "fileUri", "displayName"},
    "functionCall": {"name", "args", "id"},
    "functionResponse": {"name", "response", "id", "parts", "scheduling"},
}
_DECLARATION = {"name", "description", "parameters", "parametersJsonSchema", "response",
                "responseJsonSchema", "behavior"}  # fmt: skip
_TOOL = {"functionDeclarations", "googleSearch", "codeExecution", "urlContext", "retrieval"}
_THINKING = {"includeThoughts", "thinkingBudget", "thinkingLevel"}
_NAME = re.compile(r"[A-Za-z_][\w.:-]{0,127}")
_MAGIC = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8\xff", "application/pdf": b"%PDF",
          "image/gif": b"GIF8", "audio/wav": b"RIFF"}  # fmt: skip


def plain(value: Any) -> Any:
    """The same with camel-case names, as protobuf reads both; schemas and arguments stay."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    found: JSON = {}
    for name, inner in value.items():
        first, *rest = name.split("_")
        key = first + "".join(word.title() for word in rest)
        is_free = key in (
            "args",
            "response",
            "parametersJsonSchema",
            "responseJsonSchema",
            "labels",
        )
        found[key] = inner if is_free else plain(inner)
    return found


def check(body: JSON, model: Model, *, counts: bool = False) -> None:
    """Raises Refusal where the original would refuse."""
    _known(body, _COUNT_BODY if counts else _BODY, "")
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise Refusal("Unable to submit request because at least one contents field is required.")
    for place, content in enumerate(contents):
        _check_content(content, f"contents[{place}]")
    if "systemInstruction" in body:
        _check_content(body["systemInstruction"], "system_instruction", is_system=True)
    for place, tool in enumerate(body.get("tools", [])):
        _check_tool(tool, f"tools[{place}]")
    _check_choice(body)
    config = body.get("generationConfig", {})
    _known(config, _CONFIG, "generation_config")
    _check_config(config)
    _check_thinking(config.get("thinkingConfig", {}), model)
    _check_pairs(contents)
    _check_signatures(contents, model)


def count(body: JSON) -> tuple[int, int, int]:
    """Prompt tokens: all of them, those of pictures, those of sound. A word is a token."""
    total = pictures = sound = 0
    contents = [*body.get("contents", []), body.get("systemInstruction") or {}]
    for content in contents:
        for part in content.get("parts", []):
            kind = (part.get("inlineData") or part.get("fileData") or {}).get("mimeType", "")
            inner = part.get("functionCall") or part.get("functionResponse")
            total += len(str(part.get("text", "")).split())
            if inner is not None:
                total += len(json.dumps(inner).split())
            pictures += IMAGE_TOKENS * (kind.startswith("image/") or kind == "application/pdf")
            sound += _SECOND_TOKENS * kind.startswith("audio/")
    for tool in body.get("tools", []):
        for one in tool.get("functionDeclarations", []):
            total += 5 + len(str(one.get("description", "")).split())
    return total + pictures + sound, pictures, sound


def _known(value: Any, names: set[str], where: str) -> None:
    if not isinstance(value, dict):
        raise Refusal(f"Invalid value at '{where}' (type.googleapis.com/Message)", field=where)
    for name in value:
        if name not in names:
            at = f" at '{where}'" if where else ""
            raise Refusal(
                f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.',
                field=where or name,
            )


def _check_content(content: Any, where: str, *, is_system: bool = False) -> None:
    _known(content, {"role", "parts"}, where)
    if not is_system and content.get("role", "user") not in ("user", "model"):
        raise Refusal("Please use a valid role: user, model.")
    parts = content.get("parts")
    if not isinstance(parts, list) or not parts:
        raise Refusal("Unable to submit request because it must include at least one parts field.")
    for place, part in enumerate(parts):
        at = f"{where}.parts[{place}]"
        _known(part, _PART, at)
        if sum(name in part for name in _DATA) != 1:
            raise Refusal(f"Invalid value at '{at}': oneof field 'data' must have one value.")
        for name, names in _INNER.items():
            if name in part:
                _known(part[name], names, f"{at}.{name}")
        _check_media(part, at)


def _check_media(part: JSON, where: str) -> None:
    inline, file = part.get("inlineData"), part.get("fileData")
    given = inline or file
    if given is not None and "/" not in given.get("mimeType", ""):
        raise Refusal("Unable to submit request because it has a mimeType parameter with value "
                      f"{given.get('mimeType', '')}, which is not supported.")  # fmt: skip
    if inline is not None:
        try:
            raw = base64.b64decode(inline.get("data", ""), validate=True)
        except (ValueError, binascii.Error):
            raise Refusal(f"Invalid value at '{where}.inline_data.data' (TYPE_BYTES)") from None
        if not raw.startswith(_MAGIC.get(inline["mimeType"], b"")):
            raise Refusal("Provided image is not valid.")
    if file is not None and not file.get("fileUri", "").startswith(
        ("gs://", "https://", "http://")
    ):
        raise Refusal("Unsupported file URI type: the URI must be a Cloud Storage or HTTP URL.")


def _check_tool(tool: Any, where: str) -> None:
    _known(tool, _TOOL, where)
    for place, one in enumerate(tool.get("functionDeclarations", [])):
        at = f"{where}.function_declarations[{place}]"
        _known(one, _DECLARATION, at)
        if not _NAME.fullmatch(str(one.get("name", ""))):
            raise Refusal(f"Invalid function name at '{at}.name'.")
        if "parameters" in one and "parametersJsonSchema" in one:
            raise Refusal(f"'{at}': parameters and parameters_json_schema are mutually exclusive.")


def _check_choice(body: JSON) -> None:
    choice = body.get("toolConfig", {}).get("functionCallingConfig")
    if choice is None:
        return
    _known(choice, {"mode", "allowedFunctionNames"}, "tool_config.function_calling_config")
    if choice.get("mode") not in ("AUTO", "ANY", "NONE", "VALIDATED"):
        raise Refusal("Invalid value at 'tool_config.function_calling_config.mode'.")
    if choice.get("allowedFunctionNames") and choice["mode"] not in ("ANY", "VALIDATED"):
        raise Refusal("Function calling config is set without mode ANY, but allowed_function_names "
                      "is set.")  # fmt: skip


def _check_config(config: JSON) -> None:
    if config.get("logprobs") is not None and not config.get("responseLogprobs"):
        raise Refusal("Unable to submit request because logprobs requires response_logprobs.")
    if len(config.get("stopSequences", [])) > 5:
        raise Refusal("Unable to submit request because it has more than 5 stop sequences.")
    if not 1 <= config.get("candidateCount", 1) <= 8:
        raise Refusal("Unable to submit request because candidateCount must be from 1 to 8.")
    if "responseJsonSchema" in config and config.get("responseMimeType") != "application/json":
        raise Refusal("response_json_schema needs response_mime_type application/json.")


def _check_thinking(thinking: JSON, model: Model) -> None:
    _known(thinking, _THINKING, "generation_config.thinking_config")
    budget, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    if budget is not None and level is not None:
        raise Refusal("You can only set only one of thinking budget and thinking level.")
    if level is not None and level not in model.levels:
        raise Refusal(f"Thinking level {level} is not supported for this model.")
    if budget is None or budget == -1 or model.levels:
        return
    if budget == 0 and model.can_be_off:
        return
    least = model.least_budget or 1
    if not least <= budget <= model.longest_budget:
        raise Refusal(f"The thinking budget {budget} is invalid. Please choose a value between "
                      f"{least} and {model.longest_budget}.")  # fmt: skip


def _check_pairs(contents: list[JSON]) -> None:
    for place, content in enumerate(contents):
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        answers = [
            part["functionResponse"] for part in content["parts"] if "functionResponse" in part
        ]
        if calls and place + 1 < len(contents):
            told = [part for part in contents[place + 1]["parts"] if "functionResponse" in part]
            _need_pairs(len(calls) == len(told))
            asked = [(call["name"], call.get("id", "")) for call in calls]
            said = [(one["functionResponse"]["name"], one["functionResponse"].get("id", ""))
                    for one in told]  # fmt: skip
            _need_pairs(sorted(asked) == sorted(said))
        if answers:
            before = contents[place - 1]["parts"] if place else []
            _need_pairs(any("functionCall" in part for part in before))


def _need_pairs(claim: bool) -> None:
    if not claim:
        raise Refusal("Please ensure that the number of function response parts is equal to the "
                      "number of function call parts of the function call turn.")  # fmt: skip


def _check_signatures(contents: list[JSON], model: Model) -> None:
    """Whatever is signed must be right; from Gemini 3 on the first call of each step of the current
    turn must be signed, which began with the last words of the user."""
    began = max(
        (place for place, one in enumerate(contents)
         if one.get("role", "user") == "user" and any("text" in part for part in one["parts"])),
        default=0,
    )  # fmt: skip
    for place, content in enumerate(contents):
        calls = [part for part in content["parts"] if "functionCall" in part]
        for part in content["parts"]:
            _check_signature(part)
        if model.signs and calls and place > began and not calls[0].get("thoughtSignature"):
            name = calls[0]["functionCall"]["name"]
            raise Refusal(
                f"Unable to submit request because function call `{name}` in the {place + 1}. "
                "content block is missing a `thought_signature`."
            )


def _check_signature(part: JSON) -> None:
    signature = part.get("thoughtSignature")
    if signature is None or signature in UNSIGNED:
        return
    call = part.get("functionCall")
    is_right = (
        signature == seal_call(call["name"], call.get("args", {}))
        if call is not None
        else is_ours(signature)
    )
    if not is_right:
        raise Refusal("Thought signature is not valid.")
