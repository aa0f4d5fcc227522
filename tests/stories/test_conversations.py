"""Every dialect's official client, through one plane, against every kind of provider: a cell of
`docs/matrix.md` is a test. `towplane.testing.conversation` holds the suite; this file runs it.

`python -m towplane.testing.conversation.matrix` writes outcomes anew that changed on purpose.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from towplane.testing.conversation.cells import CELLS, Cell, play, reason_against
from towplane.testing.conversation.matrix import OUTCOMES, read_outcomes
from towplane.testing.conversation.scene import Scene
from towplane.testing.conversation.stage import Stage

SHOWN = [cell for cell in CELLS if not reason_against(cell)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("conversations")) as running:
        yield running


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    return read_outcomes(Path(__file__).parents[2] / OUTCOMES)


@pytest.mark.parametrize("cell", SHOWN, ids=lambda cell: cell.id)
def test_a_cell_ends_as_the_matrix_says(stage: Stage, outcomes: dict[str, str], cell: Cell) -> None:
    scene = Scene(stage, cell.dialect, stage.upstreams[cell.upstream])
    assert play(scene, cell) == outcomes[cell.id]
