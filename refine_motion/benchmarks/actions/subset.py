"""A part of the labels, for learning from few of them (semi-supervised)."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from refine_motion.benchmarks.actions.benchmark import ActionVideo
from refine_motion.errors import ConfigError


def labelled_subset(videos: Sequence[ActionVideo], share: float, seed: int = 0) -> list[ActionVideo]:
    """Some videos of each class, whole groups of them.

    The groups of a class come in an order that is drawn, and so many of them are taken as come closest to the share; at
    least one. Of UCF101 a group has 4 to 7 videos of about 100, so a share of 1 % is one group. What a smaller share
    takes, a larger one with the same seed takes as well.

    Args:
        videos: of the training part.
        share: of the videos of each class, more than 0 and at most 1.
        seed: of the draw; a class is drawn from by itself.

    Returns:
        In the order given.

    Raises:
        ConfigError: the share is beyond its bounds.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"data.labelled_share must be more than 0 and at most 1, got {share}")
    by_class: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for video in videos:
        by_class[video.label][_group(video)] += 1
    taken = {
        (label, name)
        for label, sizes in by_class.items()
        for name in _closest(sizes, share, random.Random(f"{seed}/{label}"))
    }
    return [video for video in videos if (video.label, _group(video)) in taken]


def _group(video: ActionVideo) -> str:
    """Its group, or itself."""
    return str(video.path) if video.group is None else video.group


def _closest(sizes: dict[str, int], share: float, generator: random.Random) -> list[str]:
    """The first groups of an order that is drawn."""
    names = sorted(sizes)
    generator.shuffle(names)
    wanted, count, taken = share * sum(sizes.values()), 0, 0
    for name in names:
        # As near as without it is near enough: the fewer labels.
        if taken and abs(count + sizes[name] - wanted) >= abs(count - wanted):
            break
        count, taken = count + sizes[name], taken + 1
    return names[:taken]
