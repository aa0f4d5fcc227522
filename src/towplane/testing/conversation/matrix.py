"""`docs/matrix.md` from what the conversation suite found: dialect × provider × feature.

    python -m towplane.testing.conversation.matrix

plays every cell, and writes `tests/goldens/matrix.json` and the page anew. The page is a pure
function of the outcomes; a law holds the two, and the suite's test ids, against each other.
"""

import json
import sys
import tempfile
from pathlib import Path

from towplane.testing.conversation.cells import (
    CELLS,
    DIALECTS,
    SUPPORTED,
    Cell,
    play,
    reason_against,
)
from towplane.testing.conversation.features import FEATURES
from towplane.testing.conversation.scene import Scene
from towplane.testing.conversation.stage import Stage
from towplane.testing.conversation.upstreams import UPSTREAMS

__all__ = ["OUTCOMES", "PAGE", "TEST", "read_outcomes", "render_page"]

OUTCOMES = Path("tests/goldens/matrix.json")
PAGE = Path("docs/matrix.md")
TEST = "tests/stories/test_conversations.py::test_a_cell_ends_as_the_matrix_says"
"""In brackets behind it: `DIALECT-PROVIDER-ROW`."""
_NONE = "not applicable: "
_HEAD = f"""# The matrix

Which client dialect gets what from which provider. The official clients `openai` and `anthropic`,
unchanged, go through one plane to an emulator of each provider that checks what the original checks
(signatures, keys, unknown fields, seals of thoughts) and keeps its own books. Every cell is the
outcome of a test: `{TEST.partition("::")[0]}`, `[DIALECT-PROVIDER-ROW]`.

| mark | meaning |
|---|---|
| ✓ | shown by the test |
| a parameter's name | has no counterpart there and is refused by this name |
| a number | cannot be asked for: see the notes |

Where the route says `drop_unsupported: true`, what would be refused is left out, and told in the
header `x-towplane-dropped`. Of `cache`: the emulators of Claude hold prefixes by their marks, the
other providers cache without any and say what they read.

This page is written by `python -m towplane.testing.conversation.matrix`, which plays all cells.
"""


def main() -> int:
    """Play all cells; write what came of them."""
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder)) as stage:
        outcomes = {cell.id: _outcome(stage, cell) for cell in CELLS}
    OUTCOMES.parent.mkdir(exist_ok=True)
    OUTCOMES.write_text(json.dumps(outcomes, indent=1) + "\n")
    PAGE.write_text(render_page(outcomes))
    return 0


def read_outcomes(file: Path = OUTCOMES) -> dict[str, str]:
    """By the cell's id."""
    found: dict[str, str] = json.loads(file.read_text())
    return found


def render_page(outcomes: dict[str, str]) -> str:
    """The page."""
    notes: list[str] = []
    parts = [_HEAD]
    for dialect, title in DIALECTS.items():
        parts.append(_table(dialect, title, outcomes, notes))
    listed = "\n".join(f"{place}. {note}" for place, note in enumerate(notes, 1))
    parts.append(f"## Notes\n\n{listed}\n")
    return "\n".join(parts)


def _outcome(stage: Stage, cell: Cell) -> str:
    why = reason_against(cell)
    if why:
        return _NONE + why
    return play(Scene(stage, cell.dialect, stage.upstreams[cell.upstream]), cell)


def _table(dialect: str, title: str, outcomes: dict[str, str], notes: list[str]) -> str:
    columns = [upstream.title for upstream in UPSTREAMS.values()]
    lines = [
        f"## {title}",
        "",
        f"| row | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, feature in FEATURES.items():
        if dialect not in feature.dialects:
            continue
        cells = (Cell(dialect, upstream, name) for upstream in UPSTREAMS)
        marks = [_mark(outcomes[cell.id], notes) for cell in cells]
        lines.append(f"| {feature.title} `{name}` | {' | '.join(marks)} |")
    return "\n".join([*lines, ""])


def _mark(outcome: str, notes: list[str]) -> str:
    if outcome == SUPPORTED:
        return "✓"
    if not outcome.startswith(_NONE):
        return f"`{outcome.removeprefix('refused: ')}`"
    note = outcome.removeprefix(_NONE)
    if note not in notes:
        notes.append(note)
    return str(notes.index(note) + 1)


if __name__ == "__main__":
    sys.exit(main())
