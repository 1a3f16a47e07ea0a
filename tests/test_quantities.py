import pytest

from vqdna.quantities import bytes_of, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"), (3.21, "3.2 s"), (9.96, "10 s"), (12, "12 s"), (100, "2 min"), (4000, "67 min"),
        (9000, "2.5 h"), (864_000, "10 days"), (1e11, "3,169 years"),
    ],
)  # fmt: skip
def test_durations_have_the_unit_that_suits_them(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_999, "1 MB"), (28_300_000, "28.3 MB"), (141e9, "141 GB")],
)
def test_sizes_have_three_digits(count, text):
    assert bytes_of(count) == text
