"""Tracks drawn over frames: tails, hidden points hollow, colour by where a point started or by its error."""

from __future__ import annotations

import colorsys

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from refine_motion.types import Tracks
from refine_motion.viz.flow import error_to_rgb

# Frames that a tail goes back, and how often everything is drawn larger and then reduced, so that edges are smooth.
_TAIL, _OVERSAMPLING = 12, 2
# Of the frame's smaller side, the radius of a point; at least so many pixels.
_RADIUS, _LEAST = 1 / 110, 2.0


def start_colours(xy: Tensor) -> Tensor:
    """A colour for each point by where it starts among the others: the hue from left to right, darker downwards.

    Args:
        xy: ``(N, 2)`` in pixels.

    Returns:
        ``(N, 3)`` uint8.
    """
    low, high = xy.amin(dim=0), xy.amax(dim=0)
    colours = [
        colorsys.hsv_to_rgb(0.83 * x, 0.85, 1 - 0.35 * y) for x, y in ((xy - low) / (high - low).clamp(min=1)).tolist()
    ]
    return (255 * torch.tensor(colours).reshape(-1, 3)).round().to(torch.uint8)


def error_colours(error: Tensor, worst: float) -> Tensor:
    """A colour for each value: dark for none, bright yellow for the worst and beyond.

    Args:
        error: ``(N,)`` in pixels.
        worst: where the scale ends.

    Returns:
        ``(N, 3)`` uint8.
    """
    # The scale's first third is too dark to be seen on a picture.
    return error_to_rgb((error / worst).clamp(0, 1)[None] * 0.65 + 0.35, 1.0)[:, 0].T


def draw_tracks(frame: Tensor, tracks: Tracks, time: int, colours: Tensor) -> Tensor:
    """One frame with its points.

    Args:
        frame: ``(3, H, W)`` uint8 RGB.
        tracks: of the whole video.
        time: number of the frame.
        colours: ``(N, 3)`` uint8.

    Returns:
        ``(3, H, W)`` uint8: seen points are filled, hidden ones rings; tails show the last 12 frames, thinner where the
        point was hidden.
    """
    height, width = frame.shape[-2:]
    scale = _OVERSAMPLING
    layer = Image.new("RGBA", (scale * width, scale * height))
    pen = ImageDraw.Draw(layer)
    radius = scale * max(_LEAST, _RADIUS * min(height, width))
    first = max(0, time - _TAIL)
    # A track that went astray must not be drawn over millions of pixels.
    far = torch.tensor([width, height])
    past = scale * (torch.clamp(tracks.xy[first : time + 1], -2 * far, 3 * far) + 0.5)
    seen = tracks.visible[first : time + 1]
    for n in range(past.shape[1]):
        places, colour = past[:, n], tuple(colours[n].tolist())
        for back in range(1, len(places)):
            line = [*places[back - 1].tolist(), *places[back].tolist()]
            if not np.isfinite(line).all():
                continue
            strength = int(230 * back / len(places))
            pen.line(line, fill=(*colour, strength), width=max(1, round(radius * (0.7 if seen[back, n] else 0.35))))
    for n in range(past.shape[1]):
        x, y = past[-1, n].tolist()
        if not np.isfinite((x, y)).all():
            continue
        colour = tuple(colours[n].tolist())
        box = (x - radius, y - radius, x + radius, y + radius)
        # A dark rim tells a point from what is behind it.
        rim = (x - radius - scale, y - radius - scale, x + radius + scale, y + radius + scale)
        if seen[-1, n]:
            pen.ellipse(rim, fill=(0, 0, 0, 180))
            pen.ellipse(box, fill=(*colour, 255))
        else:
            # Hollow also where its own tail ends.
            pen.ellipse(rim, fill=(0, 0, 0, 0), outline=(0, 0, 0, 140), width=2 * scale)
            pen.ellipse(box, outline=(*colour, 255), width=scale)
    drawn = Image.fromarray(frame.permute(1, 2, 0).cpu().numpy()).convert("RGBA")
    drawn.alpha_composite(layer.resize((width, height), Image.Resampling.BOX))
    return torch.from_numpy(np.array(drawn.convert("RGB"))).permute(2, 0, 1).contiguous()
