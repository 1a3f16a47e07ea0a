from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vqdna.reports.charts.short_names import ELLIPSIS, short_names

SIMILAR = st.lists(st.text("ab+", min_size=1, max_size=30), unique=True, max_size=6)


def test_averages_of_systems_are_told_apart_in_few_characters() -> None:
    members = ("", "cnn+", "cnn+kmer-lightgbm+")
    labels = short_names([f"average:cnn-words:small+{name}vqdna-views" for name in members], 22)
    assert sorted(len(label) for label in labels.values()) == [22] * 3
    assert len(set(labels.values())) == 3


def test_the_cut_is_in_the_middle_and_short_names_are_left() -> None:
    assert short_names(["cnn", "nucleotide-transformer-v2-500m"], 11) == {
        "cnn": "cnn",
        "nucleotide-transformer-v2-500m": "nucle…-500m",
    }


def test_names_that_no_cut_tells_apart_stay_whole() -> None:
    names = ["same-beginning-1-same-ending-of-it", "same-beginning-2-same-ending-of-it"]
    assert short_names(names, 10) == {name: name for name in names}


@given(SIMILAR, st.integers(4, 12))
def test_labels_are_as_many_as_names_and_fit_or_are_whole(names: list[str], most: int) -> None:
    labels = short_names(names, most)
    assert list(labels) == names
    assert len(set(labels.values())) == len(names)
    whole = labels == {name: name for name in names}
    for name, label in labels.items():
        assert whole or len(label) <= most
        start, _, end = label.partition(ELLIPSIS)
        assert name.startswith(start)
        assert name.endswith(end)
