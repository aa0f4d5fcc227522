"""The token ids of a prompt, cut as the model's engine cuts it.

Prompts of token ids are known as they are; texts are cut by the model's own `tokenizer.json`, chats
after the chat template that lies beside it. Cutting costs 0.4 to 0.7 ms for 1,000 characters, so a
text is taken apart at places where tokens end anyway, and what was cut before is remembered by a
digest of it: a conversation that goes on, or a document that many ask about, is cut once. Where a
tokenizer has no such places (tried out when it is loaded), texts are cut whole.

The law: the ids that are given are the first ones that the engine has, all of them where `is_all`;
whatever is not sure to be the same there gives None. Needs the extra `kv-events` (tokenizers).
"""

import json
import re
import struct
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from xxhash import xxh3_128_digest

from towplane.parts.errors import Unsupported
from towplane.parts.extras import load_extra
from towplane.providers.ask import Ask
from towplane.providers.chat_template import ChatTemplate

__all__ = ["FirstIds", "TokenIds"]

_PIECE = 512
"""Characters of a piece at least: some 128 tokens."""
_REMEMBERED = 20_000
"""Pieces that are remembered, some 700 bytes each."""
_MOST_BYTES = 512 * 1024
"""Of the JSON of messages: rendering costs about a millisecond for 100 KB."""
_SALTS = ("cache_salt", "prompt_embeds")
"""Fields that make what an engine keeps of the same tokens something else."""
_SAMPLE = (
    "Say it: the law (of 1984), isn't plain.\nNext line,  two spaces; 12 345 items\n\n"
    "x = {'a': 1}\n\tdef f(x):\n\t\treturn x ** 2  # ok\r\nÜber naïve Ideen, 你好 wor ld — a\n"
)
_prompt = msgspec.json.Decoder(str | list[str | int | list[int]])
_bool = msgspec.json.Decoder(bool)


class FirstIds(NamedTuple):
    """The first tokens of a prompt."""

    ids: bytes
    """Four bytes each, little-endian."""
    is_all: bool
    """Whether the prompt has no more."""

    @property
    def tokens(self) -> int:
        """How many they are."""
        return len(self.ids) // 4


class TokenIds:
    """One model's tokenizer and chat template."""

    def __init__(self, file: str) -> None:
        """Takes some 0.5 s. Raises Unsupported for a file that cannot be used."""
        tokenizers = load_extra("tokenizers", "kv-events")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(file)
        except Exception as error:  # noqa: BLE001  # its own errors are bare Exceptions
            raise Unsupported(f"{file} is no tokenizer: {error}") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._template = _template_beside(Path(file))
        self._pieces: dict[bytes, bytes] = {}
        bare, framed = self._cut("a"), _pack(self._tokenizer.encode("a").ids)
        start = framed.find(bare)
        self._frame = (framed[:start], framed[start + len(bare) :]) if start >= 0 else None
        """What stands around a text that is no chat; None: nobody knows."""
        self._ends = _ends(self._tokenizer)
        self.is_cut_apart = self._may_be_cut_apart()
        """Whether it has places where tokens end anyway."""

    def read(self, ask: Ask, characters: int) -> FirstIds | None:
        """Of a prompt, with so many characters newly cut at most; None: they cannot be known."""
        fields = ask.fields
        if any(name in fields for name in _SALTS):
            return None
        try:
            if ask.operation.name == "chat":
                return self._read_chat(fields, characters)
            if ask.operation.name in ("completions", "embeddings"):
                return self._read_text(fields, ask.operation.prompt, characters)
        except (msgspec.DecodeError, UnicodeError, RecursionError, struct.error, KeyError):
            pass  # the target will say what is wrong with it
        return None

    def _read_chat(self, fields: dict[str, msgspec.Raw], characters: int) -> FirstIds | None:
        if self._template is None or memoryview(fields["messages"]).nbytes > _MOST_BYTES:
            return None
        is_framed = "add_special_tokens" in fields and _bool.decode(fields["add_special_tokens"])
        text = None if is_framed else self._template.render(fields)
        return self._read(text, characters) if text else None

    def _read_text(
        self, fields: dict[str, msgspec.Raw], name: str, characters: int
    ) -> FirstIds | None:
        said = _prompt.decode(fields[name])
        given: str | list[Any] = said
        if isinstance(said, list) and len(said) == 1 and not isinstance(said[0], int):
            given = said[0]
        if isinstance(given, str):
            is_framed = not (
                "add_special_tokens" in fields and not _bool.decode(fields["add_special_tokens"])
            )
            frame = self._frame if is_framed else (b"", b"")
            if frame is None:
                return None
            found = self._read(given, characters)
            if found is None:
                return None
            return FirstIds(
                frame[0] + found.ids + (frame[1] if found.is_all else b""), found.is_all
            )
        if given and all(isinstance(one, int) for one in given):
            return FirstIds(_pack(given), True)
        return None

    def _read(self, text: str, characters: int) -> FirstIds | None:
        if not self.is_cut_apart:
            return FirstIds(self._cut(text), True) if len(text) <= characters else None
        found, start = [], 0
        while start < len(text):
            end = self._piece_end(text, start, _PIECE)
            piece = text[start:end]
            digest = xxh3_128_digest(piece.encode("utf-8", "surrogatepass"))
            ids = self._pieces.pop(digest, None)
            if ids is None:
                characters -= len(piece)
                if characters < 0:
                    break
                ids = self._cut(piece)
                if len(self._pieces) >= _REMEMBERED:
                    del self._pieces[next(iter(self._pieces))]
            self._pieces[digest] = ids  # the youngest again: what is not used grows old and goes
            found.append(ids)
            start = end
        return FirstIds(b"".join(found), start >= len(text)) if found else None

    def _piece_end(self, text: str, start: int, least: int) -> int:
        found = self._ends.search(text, start + least)
        return found.start() if found is not None else len(text)

    def _cut(self, text: str) -> bytes:
        return _pack(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _may_be_cut_apart(self) -> bool:
        """Whether the pieces of a text are cut as in the whole."""
        special = [one.content for one in self._tokenizer.get_added_tokens_decoder().values()]
        sample = "".join(_SAMPLE + one for one in ["", *special[:8]]) + _SAMPLE
        for least in (1, 7, 40):
            pieces, start = b"", 0
            while start < len(sample):
                end = self._piece_end(sample, start, least)
                pieces += self._cut(sample[start:end])
                start = end
            if pieces != self._cut(sample):
                return False
        return True


def _ends(tokenizer: Any) -> "re.Pattern[str]":
    """Where a token ends whatever follows: between a word and the space before the next, after the
    end of a line, and before a special token."""
    added = tokenizer.get_added_tokens_decoder().values()
    special = [re.escape(one.content) for one in added if not (one.lstrip or one.rstrip)]
    before = "|".join(sorted(special, key=len, reverse=True)[:64])
    return re.compile(
        r"(?<=\S)(?= [A-Za-z])|(?<=\S\n)(?=\S)" + (f"|(?={before})" if before else "")
    )


def _template_beside(file: Path) -> ChatTemplate | None:
    """None: the model has none. Raises Unsupported for one that cannot be used."""
    beside = file.with_name("tokenizer_config.json")
    try:
        config = json.loads(beside.read_bytes()) if beside.exists() else {}
        alone = file.with_name("chat_template.jinja")
        source = alone.read_text("utf-8") if alone.exists() else config.get("chat_template")
        if isinstance(source, list):  # several by name; without a name the default is used
            source = {one["name"]: one["template"] for one in source}.get("default")
        return ChatTemplate(source, _special(config)) if source else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unsupported(f"the chat template beside {file} cannot be used: {error}") from None


def _special(config: dict[str, Any]) -> dict[str, str]:
    """`bos_token` and the like, as texts."""
    found = {}
    for name, said in config.items():
        text = said.get("content") if isinstance(said, dict) else said
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found


def _pack(ids: list[int]) -> bytes:
    return struct.pack(f"<{len(ids)}I", *ids)
