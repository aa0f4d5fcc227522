"""The matrix of the docs claims what tests show, and nothing else."""

from pathlib import Path

import test_conversations as story

from towplane.testing.conversation.cells import CELLS, NOT_APPLICABLE, SUPPORTED, reason_against
from towplane.testing.conversation.features import FEATURES
from towplane.testing.conversation.matrix import OUTCOMES, PAGE, TEST, read_outcomes, render_page
from towplane.testing.conversation.upstreams import UPSTREAMS

ROOT = Path(__file__).parents[2]


def test_the_page_says_what_the_tests_found() -> None:
    """`python -m towplane.testing.conversation.matrix` writes both anew."""
    assert (ROOT / PAGE).read_text() == render_page(read_outcomes(ROOT / OUTCOMES))


def test_every_claimed_cell_is_a_test() -> None:
    """Each outcome that is not declared away stands beside a parameter of the story's one test,
    which compares the two."""
    outcomes = read_outcomes(ROOT / OUTCOMES)
    test = story.test_a_cell_ends_as_the_matrix_says
    (mark,) = (mark for mark in test.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    played = {mark.kwargs["ids"](cell) for cell in mark.args[1]}
    assert f"tests/stories/{Path(story.__file__).name}::{test.__name__}" == TEST
    assert played == {name for name, how in outcomes.items() if not how.startswith("not app")}
    assert set(outcomes) == {cell.id for cell in CELLS}


def test_no_cell_is_passed_over_without_a_reason() -> None:
    outcomes = read_outcomes(ROOT / OUTCOMES)
    for cell in CELLS:
        why = reason_against(cell)
        assert outcomes[cell.id].startswith("not applicable: ") == bool(why), cell.id
        assert why == "" or outcomes[cell.id] == f"not applicable: {why}"


def test_a_reason_is_about_cells_that_exist() -> None:
    for dialects, upstreams, features, why in NOT_APPLICABLE:
        assert why.endswith(".")
        assert set(upstreams) <= set(UPSTREAMS)
        assert set(features) <= set(FEATURES)
        assert any(
            dialect in FEATURES[name].dialects
            for name in features
            for dialect in dialects or FEATURES[name].dialects
        )


def test_a_refusal_names_a_parameter_of_its_feature() -> None:
    outcomes = read_outcomes(ROOT / OUTCOMES)
    for cell in CELLS:
        how = outcomes[cell.id]
        if how.startswith("refused: "):
            assert how.removeprefix("refused: ") in FEATURES[cell.feature].params, cell.id
        else:
            assert how == SUPPORTED or reason_against(cell), cell.id


def test_every_feature_is_shown_at_every_provider_or_declared() -> None:
    """No provider and no feature is forgotten: each pair has a cell in some dialect."""
    pairs = {(cell.upstream, cell.feature) for cell in CELLS}
    assert pairs == {(upstream, feature) for upstream in UPSTREAMS for feature in FEATURES}
