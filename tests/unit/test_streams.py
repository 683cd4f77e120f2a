from __future__ import annotations

import pytest

from segbench.streams import stream_seed


def test_a_stream_is_the_same_for_ever():
    # written down once: a change here changes every trial, so NUMERICS_VERSION has to rise with it
    assert stream_seed(0, "order", 1) == 1860338126330257371
    assert stream_seed(3, "augment", 2, 17) == 280129252394103953


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0, "order", 1), (1, "order", 1)),
        ((0, "order", 1), (0, "augment", 1)),
        ((0, "augment", 1, 23), (0, "augment", 12, 3)),
        ((0, "init", 1), (0, "init", "1")),
        ((0, "init", "a", "b"), (0, "init", "ab")),
    ],
)
def test_streams_of_other_names_differ(one, other):
    assert stream_seed(*one) != stream_seed(*other)


def test_seeds_are_63_bit_and_spread():
    seeds = [stream_seed(0, "augment", 1, index) for index in range(2000)]
    assert all(0 <= s < 2**63 for s in seeds)
    assert len(set(seeds)) == 2000
    assert abs(sum(s >= 2**62 for s in seeds) - 1000) < 120
