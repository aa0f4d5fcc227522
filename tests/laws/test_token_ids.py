"""Prompts as the tokens that the engine has."""

import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors, trainers

from towplane.parts.errors import Unsupported
from towplane.providers.ask import OPERATIONS, Ask, OperationName
from towplane.providers.chat_template import ChatTemplate
from towplane.providers.token_ids import TokenIds

CHATML = """{%- if tools %}{{ '<|im_start|>system' }}
{%- for tool in tools %}{{ '\\n' + (tool | tojson) }}{% endfor %}{{ '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content }}
{%- for call in message.tool_calls or [] %}
{{- call.function.name }}({{ call.function.arguments.x }})
{%- endfor %}{{ '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
PARTS = """{% for m in messages %}{% set parts = m['content'] | list %}
{%- for part in parts %}[{{ part.text }}]{% endfor %}{% endfor %}"""
WORDS = "the law says plainly that a document is cut where a word ends; it is so. isn't it? "
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Llama 3 and, but for the digits, Qwen 2 cut texts before they merge."""


def make_tokenizer(file: Path, kind: str = "llama3") -> Tokenizer:
    """One that is trained on a few words."""
    made = Tokenizer(models.BPE())
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind == "gpt2")
    if kind == "llama3":
        split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
        made.pre_tokenizer = pre_tokenizers.Sequence([split, bytewise])
    elif kind == "gpt2":
        made.pre_tokenizer = bytewise
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    special = ["<s>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [WORDS * 3, "x = 1\n\n\ty = 12 345\n"],
        trainers.BpeTrainer(
            vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    made.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    made.save(str(file))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_tokenizer(folder / "tokenizer.json")
    config = {"chat_template": CHATML, "bos_token": {"content": "<s>"}, "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def reader(folder: Path) -> TokenIds:
    return TokenIds(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def whole(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def ask(operation: OperationName = "completions", **fields: Any) -> Ask:
    raw = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}
    return Ask(OPERATIONS[operation], raw, "m")


def ids(reader: TokenIds, asked: Ask, characters: int = 1_000_000) -> list[int] | None:
    found = reader.read(asked, characters)
    if found is None:
        return None
    assert found.is_all
    return list(struct.unpack(f"<{found.tokens}I", found.ids))


PLAIN = "abc .,;'-\n\t\r17äß你😀{}"
texts = st.lists(
    st.one_of(st.sampled_from(["<|im_start|>", "<|im_end|>", " the", "\n", "it is", " x"]),
              st.text(PLAIN, max_size=12)),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(text=texts, times=st.integers(1, 40))
def test_a_text_is_cut_as_in_one_piece(
    reader: TokenIds, whole: Tokenizer, text: str, times: int
) -> None:
    assert reader.is_cut_apart
    long = text * times
    if long:
        assert ids(reader, ask(prompt=long)) == whole.encode(long).ids


@pytest.mark.parametrize(("kind", "is_cut_apart"), [("gpt2", True), ("metaspace", False)])
def test_only_what_may_be_cut_apart_is(kind: str, is_cut_apart: bool, tmp_path: Path) -> None:
    whole = make_tokenizer(tmp_path / "tokenizer.json", kind)
    reader = TokenIds(str(tmp_path / "tokenizer.json"))
    assert reader.is_cut_apart == is_cut_apart
    text = "".join(f"{WORDS}{n}\n\n{'  ' * (n % 3)}it" for n in range(30))
    assert ids(reader, ask(prompt=text)) == whole.encode(text).ids


def test_a_long_prompt_is_cut_little_by_little(reader: TokenIds, whole: Tokenizer) -> None:
    text = "".join(f"{WORDS}{n}" for n in range(1000, 1100))
    want = struct.pack("<I", 0) + b"".join(
        struct.pack("<I", one) for one in whole.encode(text, add_special_tokens=False).ids
    )
    lengths = []
    for _ in range(10):
        found = reader.read(ask(prompt=text), 2000)
        assert found is not None
        assert want.startswith(found.ids)
        lengths.append(found.tokens)
        assert found.is_all == (found.ids == want)
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[1]
    assert lengths[-1] == len(want) // 4


def test_token_ids_are_what_they_are(reader: TokenIds) -> None:
    assert ids(reader, ask(prompt=[5, 6, 7])) == [5, 6, 7]
    assert ids(reader, ask(prompt=[[5, 6, 7]])) == [5, 6, 7]


def test_an_operation_says_whether_special_tokens_stand_around(reader: TokenIds) -> None:
    bare = ids(reader, ask(prompt="the law", add_special_tokens=False))
    assert bare is not None
    assert ids(reader, ask(prompt="the law")) == [0, *bare]
    assert ids(reader, ask("embeddings", input="the law")) == [0, *bare]


@pytest.mark.parametrize(
    "asked",
    [
        ask(prompt=["a", "b"]),
        ask(prompt=[[1], [2]]),
        ask(prompt=[-1]),
        ask(prompt={"a": 1}),
        ask(prompt="a", cache_salt="s"),
        ask(),
        ask("responses", input="a"),
        ask("chat", messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
        ask("chat", messages=[{"content": "a"}]),
        ask("chat", messages=[{"role": "user", "content": "a"}], documents=[{}]),
        ask("chat", messages=[{"role": "user", "content": "a"}], chat_template="x"),
        ask("chat", messages=[{"role": "user", "content": "a"}], add_special_tokens=True),
        ask("chat", messages=[{"role": "assistant", "content": "a", "reasoning_content": "b"}]),
        ask("chat", messages=[{"role": "developer", "content": "a", "tools": [{}]}]),
        ask("chat", messages="a"),
    ],
)
def test_what_is_not_sure_is_not_known(reader: TokenIds, asked: Ask) -> None:
    assert reader.read(asked, 1000) is None


def test_a_chat_is_what_its_template_makes_of_it(reader: TokenIds, whole: Tokenizer) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 3}'}}
    asked = ask(
        "chat",
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "the"},
                                         {"type": "text", "text": "law"}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"ä": "<"}}}],
    )  # fmt: skip
    text = (
        '<|im_start|>system\n{"type": "function", "function": {"name": "f", "description": null, '
        '"parameters": {"ä": "<"}}}<|im_end|>\n<|im_start|>user\nthe\nlaw<|im_end|>\n'
        "<|im_start|>assistant\nf(3)<|im_end|>\n<|im_start|>assistant\n"
    )
    assert ids(reader, asked) == whole.encode(text, add_special_tokens=False).ids


def test_a_template_that_looks_into_parts_gets_them() -> None:
    template = ChatTemplate(PARTS, {})
    fields = ask("chat", messages=[{"role": "user", "content": "a"}]).fields
    assert template.render(fields) == "[a]"


def test_a_template_reaches_nothing_outside() -> None:
    template = ChatTemplate("{{ messages.__class__.__mro__ }}", {})
    assert not template.render(ask("chat", messages=[]).fields)


def test_a_file_that_is_none_is_said() -> None:
    with pytest.raises(Unsupported, match="is no tokenizer"):
        TokenIds(__file__)


def test_a_template_that_is_none_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    (tmp_path / "chat_template.jinja").write_text("{% if %}")
    with pytest.raises(Unsupported, match="chat template"):
        TokenIds(str(tmp_path / "tokenizer.json"))
