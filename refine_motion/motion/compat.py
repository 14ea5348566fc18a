"""Which rules of the official CorrFlow code are kept where they are known to be wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Compat:
    """Three switches between the rules of the official code (``zlai0/CorrFlow``, commit f6bd381) and right ones.

    Every result says which were in force; :data:`FIXED` is what this project uses, :data:`OFFICIAL` is for
    reproduction alone.

    Attributes:
        scaled: dot products of features with C channels are divided by ``sqrt(C)``. The official ones are not, which
            saturates the softmax of an untrained encoder.
        one_hot_first: label ids become one-hot before they are resized. The official code interpolates the ids
            themselves, which invents labels between any two.
        exact_border: what lies outside the image is known by its place. The official code takes a correlation of
            exactly 0 for it, so that true zeros are lost and a cell of zero features copies from the padding.
    """

    scaled: bool = True
    one_hot_first: bool = True
    exact_border: bool = True


FIXED = Compat()
OFFICIAL = Compat(scaled=False, one_hot_first=False, exact_border=False)
