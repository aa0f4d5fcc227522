"""One name for a model, from the many that it has.

`us.anthropic.claude-sonnet-4-6-20260501-v1:0` is sent, `Claude4.6Sonnet` is billed: the same words
in another order. A name becomes its words, without what says where, when and which revision; two
names are one model if these words are equal, all of them. Pure. The law: nothing is guessed: a name
that shares most of its words with another is another model, and a person says otherwise by a map.
"""

import re
from collections.abc import Iterable, Mapping

__all__ = ["Words", "match_names", "words_of"]

Words = tuple[str, ...]
"""Letters in the order of the alphabet, each once; numbers in their own order."""

# Amazon Bedrock user guide, "Supported cross-Region inference profiles": geography prefixes.
_PLACE = re.compile(r"^(us-gov|global|apac|us|eu|ap|au|ca|jp|sa|me|il|af|mx)\.")
_REVISION = re.compile(r"(-v\d+)?(:\d+)*(:\d+k)?$|@[\w-]+$")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SILENT = frozenset(("anthropic", "amazon", "meta", "openai", "cohere", "google", "az", "azure",
                     "instruct"))  # fmt: skip
_BRANDS = {("deep", "seek"): "deepseek", ("mini", "max"): "minimax", ("code", "stral"): "codestral",
           ("open", "ai"): "openai"}  # fmt: skip
"""Names that are written with a capital letter inside."""


def words_of(name: str) -> Words:
    """The words of a name; empty: it has none that say which model it is."""
    name = name.rpartition("/")[2]  # of an ARN, of `publishers/google/models/…`
    name = _PLACE.sub("", name)
    name = _REVISION.sub("", name)
    words = [part.lower() for part in _PARTS.findall(name)]
    joined: list[str] = []
    for word in words:
        brand = _BRANDS.get((joined[-1], word)) if joined else None
        if brand is None:
            joined.append(word)
        else:
            joined[-1] = brand
    said = [word for word in joined if not _says_nothing(word)]
    letters = sorted({word for word in said if not word.isdigit()})
    return (*letters, *(word for word in said if word.isdigit()))


def match_names(
    billed: Iterable[str], known: Iterable[str], mapped: Mapping[str, str]
) -> dict[str, str]:
    """From each name on the bill to the model that it is, called by the words of the ledger's
    names; names that are nobody's are left out. `mapped` is what a person said."""
    by_words: dict[Words, str] = {}
    for name in sorted(known):
        by_words.setdefault(words_of(name), name)
    found = {}
    for name in billed:
        words = words_of(mapped.get(name, name))
        if words in by_words and words:
            found[name] = by_words[words]
    return found


def _says_nothing(word: str) -> bool:
    """A vendor, a date, a revision such as `001`, or the nought of `2.0`."""
    return word in _SILENT or (word.isdigit() and (len(word) >= 4 or word.startswith("0")))
