"""Pseudo-labels over their frames: what a filter keeps, and the worst of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from torch import Tensor

from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.opened import OpenedLabels
from refine_motion.labels.select import LabelFilter, select
from refine_motion.labels.survivors import Survivor
from refine_motion.viz.flow import flow_key, flow_to_rgb
from refine_motion.viz.notebook import DROPPED, KEPT, NotebookFigure

_NOT_STORED = "#3a3a3a"
_MARK_FROM, _MARK_TO = "#FFFFFF", "#FF2D95"


def overlay_verdict(frame: Tensor, label: FlowLabel, filters: Sequence[LabelFilter]) -> Tensor:
    """The grey frame tinted blue where a label is kept and orange where a filter drops it; dark where none is stored.

    Args:
        frame: ``(3, H, W)`` uint8 RGB.
        label: of a pair that starts at this frame.
        filters: what training applies.

    Returns:
        ``(3, H, W)`` uint8 RGB.
    """
    kept = select(filters, label.evidence, seed=0)
    tints = torch.zeros(label.size[0] * label.size[1], 3)
    strength = torch.zeros(len(tints), 1)
    for mask, colour in ((kept, KEPT), (~kept, DROPPED)):
        tints[label.index[mask]] = 255 * torch.tensor(to_rgb(colour))
        strength[label.index[mask]] = 0.55
    grey = frame.float().mean(dim=0).flatten()[:, None].expand(-1, 3)
    mixed = torch.where(strength > 0, grey * (1 - strength) + tints * strength, grey * 0.35)
    return mixed.T.reshape(frame.shape).to(torch.uint8)


def draw_pairs(
    pairs: Mapping[str, tuple[Tensor, FlowLabel]], filters: Sequence[LabelFilter], max_speed: float | None = None
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
    width, height = 12.0, 0.45
    aspects = [frame.shape[1] / frame.shape[2] for frame, _ in pairs.values()]
    figure = NotebookFigure(width, height + sum(width * 0.22 * aspect + 0.35 for aspect in aspects))
    grid = figure.subplots(len(pairs), 4, squeeze=False, height_ratios=aspects)
    for row, (title, (frame, label)) in zip(grid, pairs.items(), strict=True):
        kept = select(filters, label.evidence, seed=0)
        share = 100 / (label.size[0] * label.size[1])
        _show(row[0], frame, title)
        _show(row[1], overlay_verdict(frame, label, filters), f"kept {kept.sum() * share:.0f} % of the pixels")
        for axes, mask, name in ((row[2], kept, "kept"), (row[3], ~kept, "dropped")):
            flow, known = label.keep(mask).dense()
            _show(axes, _flow_on_dark(frame, flow, known[0], max_speed), f"flow of the {name} pixels")
    names = (
        (KEPT, "kept"),
        (DROPPED, "dropped by a filter"),
        (_NOT_STORED, "not stored (cycle error above the ceiling)"),
    )
    figure.legend(
        handles=[Patch(color=colour, label=name) for colour, name in names],
        loc="outside lower left",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    _draw_flow_key(grid[-1][3], max_speed)
    return figure


def _flow_on_dark(frame: Tensor, flow: Tensor, known: Tensor, max_speed: float) -> Tensor:
    dark = (frame.float().mean(dim=0, keepdim=True) * 0.35).to(torch.uint8).expand_as(frame)
    # Above the scale the colour code darkens, which reads as another hue among dark surroundings.
    speed = torch.hypot(flow[0], flow[1]).clamp(min=1e-6)
    return torch.where(known, flow_to_rgb(flow * (max_speed / speed).clamp(max=1), max_speed), dark)


def _draw_flow_key(axes: Axes, max_speed: float) -> None:
    inset = axes.inset_axes((0.0, 0.0, 0.22, 0.22 * 4 / 3))
    inset.imshow(flow_key(64).permute(1, 2, 0).numpy())
    inset.set_axis_off()
    axes.text(0.11, 0.31, f"rim {max_speed:.0f} px", transform=axes.transAxes, color="white", fontsize=7, ha="center")


def _show(axes: Axes, image: Tensor, title: str) -> None:
    axes.imshow(image.permute(1, 2, 0).cpu().numpy(), interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def draw_survivors(opened: OpenedLabels, survivors: Sequence[Survivor], crop: int = 64) -> NotebookFigure:
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
    figure = NotebookFigure(4.0 * columns, 2.5 * rows)
    grid = figure.subplots(rows, 2 * columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    names = opened.names
    for number, one in enumerate(survivors):
        row, column = divmod(number, columns)
        left, right = grid[row, 2 * column], grid[row, 2 * column + 1]
        (x, y), (dx, dy) = one.xy, one.flow
        first, second = opened.frames(one.key)
        _show(left, first, f"{names[one.key.video]}, frame {one.key.frame_a}\ncycle {one.cycle_ratio:.2f} x rule")
        _show(
            right,
            second,
            f"frame {one.key.frame_b}, moved {torch.tensor(one.flow).norm():.1f} px\n"
            f"colour {one.colour_error:.1f} levels",
        )
        for axes, at in ((left, (x, y)), (right, (x + dx, y + dy))):
            axes.plot(*at, "+", color=_MARK_TO, markersize=16, markeredgewidth=1.6)
            axes.set_xlim(at[0] - crop / 2, at[0] + crop / 2)
            axes.set_ylim(at[1] + crop / 2, at[1] - crop / 2)
            axes.set_facecolor("black")
        right.plot([x, x + dx], [y, y + dy], color=_MARK_FROM, linewidth=1)
        right.plot(x, y, "o", color=_MARK_FROM, markersize=5, fillstyle="none")
    return figure
