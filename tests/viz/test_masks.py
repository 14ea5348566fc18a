from __future__ import annotations

import torch

from refine_motion.viz.masks import draw_mask


def test_objects_are_tinted_with_a_white_line_and_the_background_stays() -> None:
    ids = torch.zeros(20, 30, dtype=torch.uint8)
    ids[5:15, 5:15], ids[5:15, 15:25] = 1, 12
    frame = torch.full((3, 20, 30), 100, dtype=torch.uint8)
    drawn = draw_mask(frame, ids)
    assert drawn.dtype == torch.uint8
    assert (drawn[:, ids == 0] == 100).all()
    # Half of the frame and half of (128, 0, 0) or (64, 0, 128).
    assert (drawn[:, 6:14, 6:14] == torch.tensor([114, 50, 50]).view(3, 1, 1)).all()
    assert (drawn[:, 6:14, 16:24] == torch.tensor([82, 50, 114]).view(3, 1, 1)).all()
    line = (drawn == 255).all(dim=0)
    assert line[5, 5:25].all()
    assert line[14, 5:25].all()
    # On both sides of what two objects share.
    assert line[5:15, 14:16].all()
    assert line.sum() == 2 * (10 * 10 - 8 * 8)
    assert (frame == 100).all()


def test_an_object_over_everything_has_no_line() -> None:
    ids = torch.ones(4, 6, dtype=torch.uint8)
    assert (draw_mask(torch.zeros(3, 4, 6, dtype=torch.uint8), ids) == torch.tensor([64, 0, 0]).view(3, 1, 1)).all()
