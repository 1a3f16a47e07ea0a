import numpy as np
import pytest

from vqdna.errors import InputError
from vqdna.genome.corpus import Corpus
from vqdna.training.window_batches import CorpusSettings, species_weights, window_sampler


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for name, length in (("Klebsiella_a", 4000), ("Klebsiella_b", 4000), ("homo_sapiens", 10_000)):
        (tmp_path / f"{name}.fa").write_text(f">1\n{''.join(random.choice(list('ACGT'), length))}\n")
    return Corpus.build(sorted(tmp_path.glob("*.fa")))


def test_factors_multiply_the_rule_and_each_other(corpus):
    settings = CorpusSettings(species_weights="bases", species_factors={"Klebsiella_*": 0.5, "*_b": 0.1})
    weights = species_weights(corpus, settings)
    assert weights == {"Klebsiella_a": 2000.0, "Klebsiella_b": pytest.approx(200.0), "homo_sapiens": 10_000.0}
    drawn = window_sampler(corpus, settings.model_copy(update={"window": 100}), 0, "train").species_weights
    assert drawn["homo_sapiens"] == pytest.approx(10_000 / 12_200)


def test_a_factor_of_zero_leaves_a_species_out(corpus):
    settings = CorpusSettings(window=100, species_factors={"Klebsiella_*": 0})
    assert list(window_sampler(corpus, settings, 0, "train").species_weights) == ["homo_sapiens"]


def test_a_factor_for_nobody_is_refused_with_the_nearest(corpus):
    with pytest.raises(InputError, match=r"'homo_sapien' matches none of the genomes.*homo_sapiens"):
        species_weights(corpus, CorpusSettings(species_factors={"homo_sapien": 2.0}))


def test_without_factors_the_rule_stands(corpus):
    assert species_weights(corpus, CorpusSettings()) == "sqrt"
    assert species_weights(corpus, CorpusSettings(species_weights="bases")) is None
