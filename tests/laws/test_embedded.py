"""Scores over an installed embedding: what they learn, what they look at, what they refuse."""

import json
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.cli.main import run
from towplane.cli.scorers import load_scorers
from towplane.document.load import Document, parse_document
from towplane.document.resolve import find_missing
from towplane.gateway.receive import PATHS, receive
from towplane.gateway.scoring import MOST_CPU_S, Scoring
from towplane.parts.errors import EXIT_DONE, BadDocument, PlaneError, Unsupported
from towplane.providers.ask import Ask
from towplane.routing.complexity.embedding import MOST_BYTES, find_files
from towplane.routing.complexity.labels import Label
from towplane.routing.complexity.model import (
    Embedding,
    Labels,
    Lane,
    Row,
    Trained,
    read_model,
    write_model,
)
from towplane.routing.complexity.scorer import Score, make_scorer
from towplane.routing.complexity.training.compare import Outcome, train
from towplane.routing.complexity.training.curve import measure
from towplane.routing.complexity.training.fit import fit, read_samples
from towplane.routing.complexity.training.vectors import Vectors, mean_vectors, open_vectors
from towplane.routing.spec import Complexity
from towplane.testing.labelled import Kind, make_labels
from towplane.testing.topics import make_topical


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return open_vectors()


@pytest.fixture(scope="module")
def model(vectors: Vectors) -> Trained:
    """Over the embedding, learned from 120 prompts."""
    return train(make_topical(120, 1), "digest", vectors=vectors, draws=100).model


def fitted(labels: list[Label], vectors: Vectors) -> Trained:
    return fit("embedded", read_samples(labels, vectors), np.arange(len(labels))).model("embedded")


def apgr(score: Score, labels: list[Label]) -> float:
    gains = np.array([one.score_strong - one.score_weak for one in labels])
    scores = np.array([score(one.prompt) for one in labels])
    return float(measure(scores, gains, np.ones((1, len(labels)))).apgr[0])


def document(model: Path) -> Document:
    text = (
        "plane: test\nproviders:\n  p: {kind: openai-compatible, endpoint: 'http://127.0.0.1:1/v1'}\n"
        f"routing:\n  chat:\n    complexity: {{scorer: trained, model: {model}, threshold: 0.6}}\n"
        "    targets:\n"
        "      - {provider: p, model: a, role: weak}\n"
        "      - {provider: p, model: b, role: strong}\n"
    )
    return parse_document(text.encode())


def altered(model: Trained, /, **changes: object) -> Trained:
    """Trained over an embedding that differs in something."""
    assert isinstance(model.embedding, Embedding)
    embedding = msgspec.structs.replace(model.embedding, **changes)
    return msgspec.structs.replace(model, embedding=embedding)


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra is not installed."""
    monkeypatch.setitem(sys.modules, "wordllama", None)


# ---- What is learned


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["noise", "even"])
def test_on_noise_nothing_was_learned(vectors: Vectors, kind: Kind, seed: int) -> None:
    model = train(make_labels(kind, 240, seed), "digest", vectors=vectors, draws=200).model
    assert not model.learned
    assert model.verdict.startswith("nothing was learned")
    assert model.kind == "length"
    assert model.embedding is msgspec.UNSET


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["length", "shortness"])
def test_where_only_length_matters_it_ties_the_length(
    vectors: Vectors, kind: Kind, seed: int
) -> None:
    outcome = train(make_labels(kind, 240, seed), "digest", vectors=vectors, draws=200)
    assert not outcome.model.learned
    length, embedded = row_of(outcome, "length").apgr, row_of(outcome, "embedded").apgr
    assert length is not None
    assert length > 0.6
    assert embedded == pytest.approx(length, abs=0.02)


@pytest.mark.parametrize("seed", [1, 2])
def test_where_topics_matter_it_beats_the_length_and_hashed_words(
    vectors: Vectors, seed: int
) -> None:
    """A hundred prompts are too few to have seen most words of four topics."""
    outcome = train(make_topical(100, seed), "digest", vectors=vectors, draws=200)
    embedded, hashed = row_of(outcome, "embedded"), row_of(outcome, "logistic")
    assert (outcome.model.learned, outcome.model.kind) == (True, "embedded")
    assert embedded.over_length is not None
    assert embedded.over_length[0] > 0
    assert (embedded.apgr or 0) > (hashed.apgr or 1) + 0.05
    assert (embedded.apgr or 1) < (row_of(outcome, "oracle").apgr or 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_words_that_were_never_seen_are_known_by_their_like(vectors: Vectors, seed: int) -> None:
    """Learned from one half of each topic's words, asked with the other: hashed words are at
    chance, as they must be."""
    seen, unseen = make_topical(240, seed, "first"), make_topical(400, 100 + seed, "second")
    samples, rows = read_samples(seen, vectors), np.arange(240)
    found = {
        kind: apgr(make_scorer(fit(kind, samples, rows).model(kind)), unseen)
        for kind in ("logistic", "factorisation", "embedded")
    }
    assert found["embedded"] > 0.64
    assert max(found["logistic"], found["factorisation"]) < 0.58


def test_the_halves_of_a_topics_words_have_none_in_common() -> None:
    first, second = (
        {word for one in make_topical(600, 1, half) for word in one.prompt.split()}
        for half in ("first", "second")
    )
    assert len(first) > 140
    assert len(first & second) < 40  # what belongs to no topic


def test_a_long_prompt_alone_does_not_sway_it(vectors: Vectors) -> None:
    """The mean of a text said twice is that of the text."""
    once, twice = mean_vectors(vectors, ["prove the lemma", "prove the lemma prove the lemma"])
    assert twice == pytest.approx(once, abs=1e-5)


def test_without_vectors_the_table_has_no_such_row(vectors: Vectors) -> None:
    labels = make_topical(60, 3)
    plain = train(labels, "digest", draws=50).model.table
    with_it = train(labels, "digest", vectors=vectors, draws=50).model.table
    assert [row.scorer for row in plain] == [
        "random", "length", "logistic", "factorisation", "oracle",
    ]  # fmt: skip
    # No other scorer is any worse or better for it.
    assert [row for row in with_it if row.scorer != "embedded"] == list(plain)


def row_of(outcome: Outcome, scorer: str) -> Row:
    return next(row for row in outcome.model.table if row.scorer == scorer)


# ---- What is looked at


def test_a_score_is_the_logistic_of_the_mean_vector(vectors: Vectors) -> None:
    """Worked out of the vectors themselves; a file keeps one number for each token."""
    labels = make_topical(80, 4)
    model = fitted(labels, vectors)
    tokens = vectors.tokens_of("prove that the bread is prime")
    weights = np.frombuffer(model.weights, "<i2") * model.lanes[0].step
    lane, length = model.lanes[0], (np.log1p(29) - model.centre) / model.spread
    logit = lane.bias + weights[tokens].mean() + lane.length * length
    score = make_scorer(model)("prove that the bread is prime")
    assert score == pytest.approx(1 / (1 + np.exp(-logit)))
    # The weights are linear in the vectors: 256 numbers say them all, but for rounding.
    along, *_ = np.linalg.lstsq(
        np.hstack([vectors.rows, np.ones((len(weights), 1), np.float32)]), weights, rcond=None
    )
    told = vectors.rows @ along[:-1] + along[-1]
    assert np.abs(told - weights).max() <= lane.step


def test_scores_are_gains_on_the_scale_of_the_labels(vectors: Vectors) -> None:
    """On the prompts that were learned from, their mean is that of the gains: what half means does
    not move with the vectors."""
    labels = make_topical(200, 5)
    score = make_scorer(fitted(labels, vectors))
    wish = float(read_samples(labels).wish.mean())
    assert np.mean([score(one.prompt) for one in labels]) == pytest.approx(wish, abs=0.005)


@given(st.text(st.characters(), max_size=3000))
def test_any_text_has_a_bounded_number_of_tokens_and_one_score(
    vectors: Vectors, model: Trained, text: str
) -> None:
    """Also what is no text at all, such as halves of a surrogate pair."""
    assert len(vectors.tokens_of(text)) <= MOST_BYTES + 3
    score = make_scorer(model)
    assert 0 <= score(text) <= 1
    assert score(text) == make_scorer(model)(text)


@pytest.mark.parametrize("sign", ["\U0001f9ff", "\u0337", "龘", "\x01", " ", "a", "<s>", "\ud800"])
def test_no_sign_makes_a_long_text_dear(vectors: Vectors, sign: str) -> None:
    assert len(vectors.tokens_of(sign * 100_000)) <= MOST_BYTES + 3


def test_the_middle_of_a_long_text_does_not_count(vectors: Vectors) -> None:
    start, end = "start " * 200, " end" * 300
    found = {tuple(vectors.tokens_of(start + middle * 900 + end)) for middle in ("one ", "other ")}
    assert len(found) == 1
    assert tuple(vectors.tokens_of(start + " end" * 299 + " fin")) not in found


def test_the_same_labels_give_the_same_file_and_the_same_scores(
    vectors: Vectors, model: Trained, tmp_path: Path
) -> None:
    """In another process too."""
    again = train(make_topical(120, 1), "digest", vectors=vectors, draws=100).model
    assert (again.weights, again.lanes, again.table) == (model.weights, model.lanes, model.table)
    write_model(model, tmp_path / "router.json")
    prompts = [one.prompt for one in make_topical(20, 9)]
    script = (
        "import json, sys; from pathlib import Path\n"
        "from towplane.routing.complexity.scorer import load_model, make_scorer\n"
        "score = make_scorer(load_model(Path(sys.argv[1])))\n"
        "print(json.dumps([score(prompt) for prompt in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "router.json")],
        input=json.dumps(prompts), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    score = make_scorer(model)
    assert json.loads(done.stdout) == [score(prompt) for prompt in prompts]


# ---- What is loaded


def test_a_worker_loads_a_tokenizer_once_it_is_asked_and_nothing_else(
    model: Trained, tmp_path: Path
) -> None:
    """Neither the package, which would fetch what it does not find, nor an array library; and no
    socket is opened."""
    write_model(model, tmp_path / "router.json")
    script = (
        "import sys; from pathlib import Path\n"
        "import towplane.gateway.scoring\n"
        "from towplane.routing.complexity.scorer import load_model, make_scorer\n"
        "def loaded():\n"
        "    names = ('wordllama', 'tokenizers', 'safetensors', 'numpy', 'requests', 'pydantic')\n"
        "    return [name for name in names if name in sys.modules]\n"
        "before = loaded()\n"
        "def watch(event, _):\n"
        "    if event.startswith('socket'): raise RuntimeError(event)\n"
        "sys.addaudithook(watch)\n"
        "make_scorer(load_model(Path(sys.argv[1])))('prove it')\n"
        "print(before, loaded())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "router.json")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[] ['tokenizers']\n", "")


def test_what_was_written_is_read_back_and_what_was_altered_is_refused(
    model: Trained, tmp_path: Path
) -> None:
    file = tmp_path / "router.json"
    written = write_model(model, file)
    assert read_model(file) == written
    assert isinstance(written.embedding, Embedding)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(written), type=Trained) == written
    file.write_text(file.read_text().replace(written.embedding.tokenizer, "0" * 64))
    with pytest.raises(BadDocument, match="altered"):
        read_model(file)


@pytest.mark.parametrize("what", ["kind", "embedding", "weights", "lanes"])
def test_a_model_in_halves_is_refused(model: Trained, tmp_path: Path, what: str) -> None:
    """Its kind, its embedding and its weights belong together."""
    wrong: Any = {
        "kind": "logistic",
        "embedding": msgspec.UNSET,
        "weights": model.weights[:-2],
        "lanes": (Lane("a"), Lane("b")),
    }[what]
    file = tmp_path / "router.json"
    write_model(msgspec.structs.replace(model, **{what: wrong}), file)
    with pytest.raises(BadDocument, match="another size"):
        read_model(file)


def test_files_from_before_embeddings_keep_their_digest(tmp_path: Path) -> None:
    """So that the old model comes back. The digest was made by the version before."""
    old = Trained(
        "towplane-router-1", "domain", "", Labels(1, "", 0.8, 0.5, (0.2, 0.4)), True, "",
        (Row("random", 0.5, 0.8, 0.5),), (Lane("law", bias=0.25),), 4.0, 1.0,
    )  # fmt: skip
    digest = write_model(old, tmp_path / "router.json").digest
    assert digest == "03116e725502cf251afe82cbd950ab230a5d9b39dc6ab748b5cc4a36c04e2c24"


# ---- What is refused


@pytest.mark.usefixtures("uninstalled")
def test_without_the_package_it_says_what_to_install(model: Trained, tmp_path: Path) -> None:
    """When it is opened, when a document takes effect, and by `check --resolve`."""
    file = tmp_path / "router.json"
    write_model(model, file)
    for scores in (lambda: make_scorer(model), lambda: load_scorers(document(file).plane)):
        with pytest.raises(Unsupported) as refused:
            scores()
        assert refused.value.say == (
            "the model scores by the embedding l2_supercat_256 of wordllama, but the package "
            "wordllama is not installed"
        )
        assert refused.value.next_step == "pip install 'towplane[embeddings]'"
    (problem,) = find_missing(document(file), {})
    assert problem.path == "routing.chat.complexity.model"
    assert "wordllama is not installed (pip install 'towplane[embeddings]')" in problem.what


def test_where_it_is_installed_nothing_is_missing(model: Trained, tmp_path: Path) -> None:
    file = tmp_path / "router.json"
    written = write_model(model, file)
    assert load_scorers(document(file).plane) == {str(file): written}
    assert find_missing(document(file), {}) == []


@pytest.mark.parametrize(
    ("changes", "say", "next_step"),
    [
        ({"tokenizer": "0" * 64}, "cuts texts into other tokens", "pip install wordllama=="),
        ({"model": "l3_supercat_256"}, "which is not known here", "train anew"),
        ({"package": "model2vec"}, "which is not known here", "train anew"),
    ],
)
def test_another_embedding_is_refused(
    model: Trained, changes: dict[str, str], say: str, next_step: str
) -> None:
    """Rather than scored by tokens that it was not trained on."""
    with pytest.raises(Unsupported) as refused:
        make_scorer(altered(model, **changes))
    assert say in refused.value.say
    assert next_step in refused.value.next_step
    assert "towplane routing train" in refused.value.next_step


def test_another_tokenizer_in_the_package_is_refused(
    model: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of the same name, whose files are not those of the training; and one without."""
    files = find_files()
    copytree(files.tokenizer.parent, tmp_path / "wordllama" / "tokenizers")
    (tmp_path / "wordllama" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Unsupported, match=r"has no l2_supercat_256\.safetensors"):
        make_scorer(model)
    (tmp_path / "wordllama" / "weights").mkdir()
    (tmp_path / "wordllama" / "weights" / files.vectors.name).touch()
    make_scorer(model)  # scores need no vectors, so others make no other scores
    tokenizer = tmp_path / "wordllama" / "tokenizers" / files.tokenizer.name
    tokenizer.write_text(tokenizer.read_text() + "\n")
    with pytest.raises(Unsupported, match="other tokens"):
        make_scorer(model)


@pytest.mark.usefixtures("uninstalled")
def test_in_a_worker_without_it_scores_are_unknown(model: Trained) -> None:
    """The plane refuses such a document; should a worker differ, it serves on."""
    scoring = Scoring(Complexity(scorer="trained"), model)
    assert np.isnan(scoring.score(asked("prove it"), 0.0))


def test_a_tokenizer_that_is_too_slow_or_fails_rests_and_comes_back(model: Trained) -> None:
    now = 0.0
    costs = iter([MOST_CPU_S * 2] * 3 + [0.0] * 9)

    def slow(_: str) -> float:
        nonlocal now
        now += next(costs)
        return 0.7

    spec = Complexity(scorer="trained", model="router.json")
    scoring = Scoring(spec, model, score=slow, cpu=lambda: now)
    assert [scoring.score(asked("q"), 0.0) for _ in range(3)] == [0.7] * 3
    assert np.isnan(scoring.score(asked("q"), 1.0))
    assert scoring.score(asked("q"), 31.0) == 0.7

    def broken(_: str) -> float:
        raise PlaneError("no")

    assert np.isnan(Scoring(spec, model, score=broken).score(asked("q"), 0.0))


def asked(text: str) -> Ask:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return receive(PATHS[b"/v1/chat/completions"], [json.dumps(body).encode()], {})


# ---- The commands


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.jsonl"
    lines = [msgspec.structs.asdict(one) for one in make_topical(120, 1)]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def test_train_writes_a_model_over_it_and_calibrate_reads_it(
    labels: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = labels.with_name("router.json")
    assert run(["routing", "train", str(labels), "--out", str(model)]) == EXIT_DONE
    said = capsys.readouterr()
    assert "take embedded" in said.out
    assert "towplane[embeddings]" in said.err
    calibrate = ["routing", "calibrate", "--share", "30%", "--prompts", str(labels),
                 "--model", str(model)]  # fmt: skip
    assert run(calibrate) == EXIT_DONE
    assert "from prompts, by embedded" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "wordllama", None)
    assert run(calibrate) != EXIT_DONE
    assert "pip install 'towplane[embeddings]'" in capsys.readouterr().err


@pytest.mark.usefixtures("uninstalled")
def test_train_does_without_it_and_says_so(
    labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["routing", "train", str(labels), "--out", str(labels.with_name("router.json"))])
    said = capsys.readouterr()
    assert "embedded: not tried, the package wordllama is not installed" in said.err
    assert "factorisation" in said.out
    assert "embedded" not in said.out
