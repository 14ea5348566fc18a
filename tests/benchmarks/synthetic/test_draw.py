from __future__ import annotations

from collections import Counter

import torch

from refine_motion.benchmarks.synthetic.draw import choice, generator, integer, uniform


def test_each_key_has_a_stream_of_its_own() -> None:
    keys = [(seed, index) for seed in (0, 1, 2**40, -1) for index in range(50)]
    assert len({torch.rand((), generator=generator(*key)).item() for key in keys}) > 198
    assert generator(3, 4).initial_seed() == generator(3, 4).initial_seed() != generator(4, 3).initial_seed()
    first = torch.tensor([uniform(generator(seed), 0, 1) for seed in range(400)])
    assert abs(first.mean() - 0.5) < 0.06
    assert abs(torch.corrcoef(torch.stack((first[1:], first[:-1])))[0, 1]) < 0.15


def test_numbers_lie_in_their_ranges() -> None:
    source = generator(1)
    assert all(-2 <= uniform(source, -2, 3) <= 3 for _ in range(50))
    assert {integer(source, 4, 6) for _ in range(50)} == {4, 5, 6}
    assert uniform(source, 1.5, 1.5) == 1.5


def test_choice_follows_the_weights() -> None:
    source = generator(2)
    drawn = Counter(choice(source, {"often": 3.0, "never": 0.0, "rarely": 1.0}) for _ in range(400))
    assert drawn["never"] == 0
    assert 250 < drawn["often"] < 350
