"""Pseudo-labels over their frames: what a filter keeps, and the worst of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from torch import Tensor

from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.opened import OpenedLabels
from refine_motion.labels.select import LabelRule, select
from refine_motion.labels.survivors import Survivor
from refine_motion.viz.flow import flow_key, flow_to_rgb
from refine_motion.viz.notebook import DROPPED, KEPT, NotebookFigure

_NOT_STORED = "#3a3a3a"
_MARK = "#FF2D95"
_DARK = 0.35
# Of a picture in a row of four; larger frames are averaged, so that scattered labels stay visible.
_PANEL_PIXELS = 320


def overlay_verdict(frame: Tensor, kept: Tensor, dropped: Tensor) -> Tensor:
    """The grey frame tinted blue where labels are kept and orange where a filter drops them; dark elsewhere.

    Args:
        frame: ``(3, H, W)`` uint8 RGB.
        kept: ``(H, W)`` bool.
        dropped: ``(H, W)`` bool; kept wins where both are true.

    Returns:
        ``(3, H, W)`` uint8 RGB.
    """
    grey = frame.float().mean(dim=0, keepdim=True).expand_as(frame)
    image = grey * _DARK
    for mask, colour in ((dropped, DROPPED), (kept, KEPT)):
        tint = 255 * torch.tensor(to_rgb(colour)).view(3, 1, 1)
        image = torch.where(mask, 0.45 * grey + 0.55 * tint, image)
    return image.to(torch.uint8)


def draw_pairs(
    pairs: Mapping[str, tuple[Tensor, FlowLabel]], filters: Sequence[LabelRule], max_speed: float | None = None
) -> NotebookFigure:
    """A row per pair: frame, kept against dropped, flow of what is kept, flow of what is dropped.

    Args:
        pairs: by title, the first frame ``(3, H, W)`` uint8 RGB and the label.
        filters: what training applies.
        max_speed: speed of full saturation in pixels; when not given, one that 99 % of the stored pixels stay below.

    Raises:
        ValueError: there are no pairs.
    """
    if not pairs:
        raise ValueError("no pairs to draw")
    if max_speed is None:
        speeds = torch.cat([label.evidence.speed for _, label in pairs.values()]).sort().values
        max_speed = max(1.0, speeds[int(0.99 * (len(speeds) - 1))].item() if len(speeds) else 0.0)
    aspects = [frame.shape[1] / frame.shape[2] for frame, _ in pairs.values()]
    figure = NotebookFigure(12.6, 0.45 + sum(2.9 * aspect + 0.35 for aspect in aspects))
    grid = figure.subplots(len(pairs), 5, squeeze=False, height_ratios=aspects, width_ratios=(1, 1, 1, 1, 0.22))
    for row, (title, (frame, label)) in zip(grid, pairs.items(), strict=True):
        mask = select(filters, label, seed=0) > 0
        share = 100 * mask.sum().item() / (label.size[0] * label.size[1])
        block = math.ceil(frame.shape[2] / _PANEL_PIXELS)
        small = F.avg_pool2d(frame.float(), block).to(torch.uint8)
        (kept_flow, kept), (dropped_flow, dropped) = (_shrunk(label.keep(part), block) for part in (mask, ~mask))
        verdict = overlay_verdict(small, (kept >= dropped) & (kept > 0), dropped > 0)
        _show(row[0], small, title)
        _show(row[1], verdict, f"kept {share:.0f} % of the pixels")
        _show(row[2], _flow_on_dark(small, kept_flow, kept > 0, max_speed), "flow of the kept pixels")
        _show(row[3], _flow_on_dark(small, dropped_flow, dropped > 0, max_speed), "flow of the dropped pixels")
    names = (
        (KEPT, "kept"),
        (DROPPED, "dropped by a filter"),
        (_NOT_STORED, "not stored (above the ceiling, or beyond the cap per pair)"),
    )
    figure.legend(
        handles=[Patch(color=colour, label=name) for colour, name in names],
        loc="outside lower left",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    for axes in grid[:, 4]:
        axes.set_axis_off()
    grid[0, 4].imshow(flow_key(128).permute(1, 2, 0).numpy())
    grid[0, 4].set_anchor("N")
    grid[0, 4].set_title(f"flow\nrim {max_speed:.3g} px", fontsize=8)
    return figure


def _shrunk(label: FlowLabel, block: int) -> tuple[Tensor, Tensor]:
    """Mean flow of the label in each block, ``(2, h, w)``, and the share of its pixels that are known, ``(h, w)``."""
    flow, known = label.dense()
    share = F.avg_pool2d(known.float(), block)
    return F.avg_pool2d(flow, block) / share.clamp(min=1e-6), share[0]


def _flow_on_dark(frame: Tensor, flow: Tensor, known: Tensor, max_speed: float) -> Tensor:
    # Above its scale the colour code darkens, which is hard to tell from the dark frame: such speeds are cut off.
    speed = torch.hypot(flow[0], flow[1]).clamp(min=1e-6)
    dark = (frame.float().mean(dim=0, keepdim=True) * _DARK).to(torch.uint8).expand_as(frame)
    return torch.where(known, flow_to_rgb(flow * (max_speed / speed).clamp(max=1), max_speed), dark)


def _show(axes: Axes, image: Tensor, title: str) -> None:
    axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def draw_survivors(opened: OpenedLabels, survivors: Sequence[Survivor], crop: int = 48) -> NotebookFigure:
    """Each survivor as two crops, centred at its position in the first frame and at its match in the second.

    Where the label is right, both crosses lie on the same point of the scene. The ring in the second crop is the
    position in the first frame, the line from it the motion.

    Args:
        opened: the store, for the frames.
        survivors: what to show.
        crop: side of a crop in pixels.

    Raises:
        ValueError: there are no survivors.
        VideoError: a frame cannot be read.
    """
    if not survivors:
        raise ValueError("no survivors to draw: the filters keep nothing")
    columns = min(3, len(survivors))
    rows = -(-len(survivors) // columns)
    figure = NotebookFigure(4.2 * columns, 2.6 * rows)
    places = figure.subfigures(rows, columns, squeeze=False, wspace=0.06, hspace=0.04).flat
    names = opened.names
    for one, place in zip(survivors, places, strict=False):
        (x, y), (dx, dy) = one.xy, one.flow
        place.suptitle(
            f"{names[one.key.video]}, frame {one.key.frame_a} → {one.key.frame_b}, moved {math.hypot(dx, dy):.1f} px\n"
            f"cycle error {one.cycle_ratio:.2f} x paper's rule, colour error {one.colour_error:.1f}",
            fontsize=9,
        )
        left, right = place.subplots(1, 2)
        for axes, frame, at in zip((left, right), opened.frames(one.key), ((x, y), (x + dx, y + dy)), strict=True):
            axes.imshow(frame.permute(1, 2, 0).numpy(), interpolation="nearest")
            axes.plot(*at, "+", color=_MARK, markersize=14, markeredgewidth=1.5)
            axes.set(xticks=[], yticks=[], facecolor="black")
            axes.set_xlim(at[0] - crop / 2, at[0] + crop / 2)
            axes.set_ylim(at[1] + crop / 2, at[1] - crop / 2)
        right.plot([x, x + dx], [y, y + dy], color="white", linewidth=1)
        right.plot(x, y, "o", color="white", markersize=5, fillstyle="none")
    return figure
