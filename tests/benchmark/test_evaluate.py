"""A system of one's own in the benchmark, as the guide shows it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from documents import ROOT
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from vqdna.benchmark import BenchmarkResult, evaluate
from vqdna.errors import InputError
from vqdna.genome.bases import to_base_ids
from vqdna.tasks.loading import LabelledSequences, Splits

GUIDE = ROOT / "docs" / "guides" / "benchmark.md"


def splits(seed: int = 0, num_classes: int = 2) -> Splits:
    """Sequences whose class is told by the bases that they are rich in."""
    random = np.random.default_rng(seed)

    def split(count: int) -> LabelledSequences:
        labels = np.arange(count) % num_classes
        rich = ("AAAACGT", "CCCCAGT", "GGGGACT")
        texts = ["".join(random.choice(list(rich[label]), 40)) for label in labels]
        names = tuple(f"class {label}" for label in range(num_classes))
        return LabelledSequences([to_base_ids(text).base_ids for text in texts], labels, class_names=names)

    return Splits(split(60), split(20), split(30))


def counts() -> object:
    """Logistic regression on 2-mers, by scikit-learn alone."""
    return make_pipeline(CountVectorizer(analyzer="char", ngram_range=(2, 2)), LogisticRegression())


def test_the_example_of_the_guide_runs(tmp_path, monkeypatch):
    code = re.search(r"```python\n(from sklearn.*?)```", GUIDE.read_text(), re.DOTALL)
    assert code, "the guide has no example of vqdna.benchmark.evaluate"
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(code[1], found)
    result = found["result"]
    assert isinstance(result, BenchmarkResult)
    assert {row.system for row in result.rows} == {"my counts", "kmer-logreg:2"}


@pytest.mark.parametrize("num_classes", [2, 3])
def test_an_object_is_scored_like_a_named_system(tmp_path, num_classes):
    sets = {"one": splits(0, num_classes), "other": splits(1, num_classes)}
    mine = evaluate(counts(), sets, name="mine", seeds=2, out=tmp_path / "mine")
    named = evaluate("kmer-logreg:2", sets, seeds=2)
    result = mine.merge(named)
    assert [(row.dataset, row.system, row.seeds) for row in result.rows] == [
        (name, system, [0, 1]) for name in sets for system in ("kmer-logreg:2", "mine")
    ]
    assert all(row.mcc.mean > 0.7 and row.mcc.low is not None for row in result.rows)
    assert set(result.rankings["full"].average) == {"mine", "kmer-logreg:2"}
    assert BenchmarkResult.from_disk(tmp_path / "mine") == mine


def test_a_call_that_was_cut_off_goes_on_and_each_seed_fits_a_copy(tmp_path):
    fitted: list[int] = []

    class Slow:
        def fit(self, sequences, labels):
            fitted.append(len(sequences))
            if len(fitted) == 2:
                raise KeyboardInterrupt
            self.model = counts().fit(sequences, labels)

        def predict_proba(self, sequences):
            return self.model.predict_proba(sequences)

    system = Slow()
    with pytest.raises(KeyboardInterrupt):
        evaluate(system, {"one": splits()}, seeds=3, out=tmp_path)
    (row,) = evaluate(system, {"one": splits()}, seeds=3, out=tmp_path).rows
    assert (row.system, row.seeds) == ("Slow", [0, 1, 2])
    assert fitted == [60, 60, 60, 60]  # the one that broke was run again, the first was not
    assert not hasattr(system, "model")


def test_the_seed_reaches_objects_that_take_one(tmp_path):
    forest = make_pipeline(CountVectorizer(analyzer="char"), LogisticRegression())

    seen: list[int] = []

    class Seeded:
        random_state = None

        def get_params(self, deep=True):
            return {"random_state": self.random_state}

        def set_params(self, random_state):
            seen.append(random_state)

        def fit(self, sequences, labels):
            self.model = forest.fit(sequences, labels)

        def predict_proba(self, sequences):
            return self.model.predict_proba(sequences)

    evaluate(Seeded(), {"one": splits()}, seeds=[3, 5])
    assert seen == [3, 5]


class Flat:
    def fit(self, sequences, labels):
        pass

    def predict_proba(self, sequences):
        return np.zeros(len(sequences))


@pytest.mark.parametrize(
    ("system", "datasets", "expected"),
    [
        (Flat(), {"one": splits()}, r"predict_proba gave \(20,\), expected \(20, 2\)"),
        ("cnnn", {"one": splits()}, "no system 'cnnn'"),
        ("cnn", {"one": Splits(splits().train, splits().dev, None)}, "one: a benchmark needs records in train, dev"),
        ("cnn", {}, "at least one system, one dataset"),
        ("cnn", {"one": {"train": (["ACGT"], [0])}}, "no dev or test was given"),
    ],
)
def test_mistakes_are_one_line(system, datasets, expected):
    with pytest.raises(InputError, match=expected):
        evaluate(system, datasets, seeds=1)


def test_what_is_not_public_is_an_attribute_error():
    import vqdna.benchmark

    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        vqdna.benchmark.nothing  # noqa: B018


def test_the_folder_of_results_may_be_read_by_its_file(tmp_path: Path):
    result = evaluate(counts(), {"one": splits()}, name="mine", seeds=1)
    result.to_disk(tmp_path / "kept.json")
    assert BenchmarkResult.from_disk(tmp_path / "kept.json") == result
