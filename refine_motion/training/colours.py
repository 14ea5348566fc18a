"""Other colours for pictures, by Kornia, each picture with factors of its own."""

from __future__ import annotations

import math

from torch import Tensor


def recolour(pictures: Tensor, factors: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order.

    Args:
        pictures: ``(N, 3, H, W)`` float32 RGB in 0..255. A clip goes in as one tall picture: its contrast then turns
            about the mean of all its frames.
        factors: ``(N, 4)``, of brightness, contrast and saturation, and the shift of the hue in full turns.

    Returns:
        The same shape and range.
    """
    from kornia.enhance import (
        adjust_brightness_accumulative,
        adjust_contrast_with_mean_subtraction,
        adjust_hue,
        adjust_saturation_with_gray_subtraction,
    )

    brightness, contrast, saturation, hue = factors.unbind(dim=1)
    changed = adjust_brightness_accumulative(pictures / 255, brightness)
    changed = adjust_contrast_with_mean_subtraction(changed, contrast)
    changed = adjust_saturation_with_gray_subtraction(changed, saturation)
    # It takes longer than all the others together.
    if hue.any():
        changed = adjust_hue(changed, 2 * math.pi * hue)
    return changed * 255
