"""Clips with exact tracks made of the user's own frames: pieces cut out of them move before one of them.

Labels of a video's own motion are no better than the teachers, and lack what these cannot follow; these clips are exact
in all that moves, turns, grows and hides, in the textures of the domain. The idea is that of training on synthetic
scenes (FlyingThings, AutoFlow), with textures that are the user's. All motion is drawn; none of it is estimated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from refine_motion.motion.grid import pixel_grid, sample

# Pixels a frame. Slow motion is as likely as fast, by its logarithm.
_SLOWEST, _FASTEST = 1.0, 16.0
# Nothing goes farther than this share of the smaller side, or hardly anything would stay in view.
_LARGEST = 0.5
_FEWEST, _MOST = 1, 6
# Of a piece, as a share of the smaller side, and by how much each wave of its outline swings.
_RADIUS, _WAVES = (0.06, 0.3), (0.15, 0.1, 0.06, 0.04)
_LARGEST_SCALE = 1.25
_SHORTEST, _LONGEST = 12.0, 60.0  # frames in which a swing comes back


class MadeClip(NamedTuple):
    """A clip and what moves in it.

    Attributes:
        frames: ``(S, 3, H, W)`` uint8.
        xy: ``(S, N, 2)`` in pixels, also of what is hidden or has left the frame.
        inside: ``(S, N)`` bool: within the frame.
        visible: ``(S, N)`` bool: within the frame and hidden by nothing.
    """

    frames: Tensor
    xy: Tensor
    inside: Tensor
    visible: Tensor


@dataclass(frozen=True)
class _Layer:
    """A picture that moves.

    Attributes:
        picture: ``(3, h, w)`` float.
        middle: ``(2, 1, 1)``, the pixel of the picture that lies at its origin.
        poses: ``(S, 3, 3)`` float64, from its coordinates to the pixels of each frame.
        radius: of its outline in its own pixels; infinite where it has none.
        waves: amplitude, as a share of the radius, and phase of each wave of the outline, ``(K, 2)``.
    """

    picture: Tensor
    middle: Tensor
    poses: Tensor
    radius: float
    waves: Tensor

    def scale(self, t: int) -> float:
        """Pixels of a frame for one of its own."""
        return self.poses[t][:2, :2].det().sqrt().item()

    def box(self, t: int, size: tuple[int, int]) -> tuple[EllipsisType, slice, slice]:
        """Rows and columns of a frame outside of which it has no share; may be empty."""
        if math.isinf(self.radius):
            return ..., slice(None), slice(None)
        reach = self.radius * (1 + sum(_WAVES)) * self.scale(t) + 1
        low = [max(0, math.floor(middle - reach)) for middle in self.poses[t][:2, 2].tolist()]
        high = [max(0, math.ceil(middle + reach) + 1) for middle in self.poses[t][:2, 2].tolist()]
        return ..., slice(low[1], high[1]), slice(low[0], high[0])

    def own(self, t: int, xy: Tensor) -> Tensor:
        """Which of its points ``(2, h, w)`` is at the pixels ``xy`` of a frame."""
        return _moved(torch.linalg.inv(self.poses[t]), xy)

    def depth(self, own: Tensor) -> Tensor:
        """How far within its outline some points are, in its own pixels ``(h, w)``; negative outside."""
        if math.isinf(self.radius):
            return torch.full(own.shape[1:], math.inf, dtype=own.dtype)
        angle = torch.atan2(own[1], own[0])
        bumps = [size * torch.cos(k * angle + phase) for k, (size, phase) in enumerate(self.waves.tolist(), start=2)]
        return self.radius * (1 + torch.stack(bumps).sum(dim=0)) - torch.hypot(own[0], own[1])

    def colours(self, own: Tensor) -> Tensor:
        """Of its points, ``(3, h, w)``; the picture goes on mirrored."""
        sides = torch.tensor([self.picture.shape[-1], self.picture.shape[-2]]).view(2, 1, 1) - 1
        place = (own + self.middle).remainder(2 * sides)
        return sample(self.picture[None], torch.minimum(place, 2 * sides - place)[None], "border")[0]


def random_clip(pictures: Sequence[Tensor], length: int, points: int, seed: int) -> MadeClip:
    """A clip of the size of the first picture, before which pieces of all of them move.

    In three of four clips the camera moves, and each piece moves besides: along a way that bends, turning and growing.
    Speeds are up to 16 pixels a frame, and the way goes up to half of the smaller side.

    Args:
        pictures: ``(3, H, W)`` uint8 each, at least 2 pixels on each side.
        length: S, frames of the clip, at least 2.
        points: N, tracked from where they are seen in the first frame.
        seed: of all that is drawn.
    """
    source = torch.Generator().manual_seed(seed)
    size = (pictures[0].shape[-2], pictures[0].shape[-1])
    layers = _layers(source, pictures, size, length)
    frames = torch.stack([_render(layers, t, size) for t in range(length)])
    sides = torch.tensor([size[1], size[0]]).double() - 1
    start = sides * torch.rand(points, 2, generator=source, dtype=torch.float64)
    return MadeClip(frames, *_tracks(layers, start, sides, length))


def _layers(source: Generator, pictures: Sequence[Tensor], size: tuple[int, int], length: int) -> list[_Layer]:
    """Back to front."""
    middle = torch.tensor([size[1] - 1, size[0] - 1]).view(2, 1, 1) / 2
    centred = torch.eye(3, dtype=torch.float64)
    centred[:2, 2] = middle[:, 0, 0]
    reach, side = math.hypot(*size) / 2, min(size)
    # In a quarter of the clips it stands still.
    moves = min(_integer(source, 0, 3), 1)
    camera = centred @ _path(source, moves * _speed(source), reach, side, length)
    layers = [_Layer(pictures[0].float(), middle, camera, math.inf, torch.zeros(0, 2))]
    for _ in range(_integer(source, _FEWEST, _MOST)):
        picture = pictures[_integer(source, 0, len(pictures) - 1)].float()
        radius = side * _between(source, *_RADIUS)
        at = torch.eye(3, dtype=torch.float64)
        at[:2, 2] = torch.tensor([share * (_between(source, 0, 1) - 0.5) for share in (size[1], size[0])])
        poses = camera @ at @ _path(source, _speed(source), radius, side, length)
        cut = torch.tensor([_between(source, 0, picture.shape[-1] - 1), _between(source, 0, picture.shape[-2] - 1)])
        waves = [(most * _between(source, 0, 1), _between(source, 0, math.tau)) for most in _WAVES]
        layers.append(_Layer(picture, cut.view(2, 1, 1), poses, radius, torch.tensor(waves)))
    return layers


def _path(source: Generator, speed: float, radius: float, side: int, length: int) -> Tensor:
    """Motion ``(S, 3, 3)`` about an origin, by which no point within the radius is faster than the speed, but for zoom.

    In the middle of the clip the origin is where it was, but for its swing.
    """
    shares = torch.rand(3, generator=source).tolist()
    # Half of all that moves goes along straight lines more or less.
    going = 1.0 if _between(source, 0, 1) < 0.5 else shares[0] / sum(shares)
    turning, growing = ((1 - going) * share / sum(shares[1:]) for share in shares[1:])
    time = torch.arange(length, dtype=torch.float64) - (length - 1) / 2
    heading, steady = _between(source, 0, math.tau), _between(source, 0.2, 1)
    distance = min(speed * going, _LARGEST * side / (length - 1))
    turn = math.tau / _between(source, _SHORTEST, _LONGEST)
    swing = (1 - steady) * distance / turn * torch.sin(turn * time + _between(source, 0, math.tau))
    across = heading + _between(source, 0, math.tau)
    x = steady * distance * math.cos(heading) * time + swing * math.cos(across)
    y = steady * distance * math.sin(heading) * time + swing * math.sin(across)
    angle = _sign(source) * speed * turning / radius * time
    most = math.log(_LARGEST_SCALE) / max((length - 1) / 2, 1)
    scale = (_sign(source) * min(speed * growing / radius, most) * time).exp()
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    rows = [torch.stack(row, dim=-1) for row in ((cosine, -sine, x), (sine, cosine, y), (zero, zero, one))]
    return torch.stack(rows, dim=-2)


def _render(layers: Sequence[_Layer], t: int, size: tuple[int, int]) -> Tensor:
    """Frame ``(3, H, W)`` uint8."""
    grid = pixel_grid(*size)
    image = torch.zeros(3, *size)
    for layer in layers:
        box = layer.box(t, size)
        part = image[box]
        if not part.numel():
            continue
        own = layer.own(t, grid[box])
        # A distance in pixels, cut off half a pixel to each side, is about the share of the pixel that is covered.
        cover = (layer.depth(own) * layer.scale(t) + 0.5).clamp_(0, 1)
        part.lerp_(layer.colours(own), cover)
    return image.round_().clamp_(0, 255).to(torch.uint8)


def _tracks(layers: Sequence[_Layer], start: Tensor, sides: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places, and which are inside and visible, of points ``(N, 2)`` of the first frame; see :class:`MadeClip`."""
    points = start.T[:, None]
    front = torch.zeros(len(start), dtype=torch.long)
    for order, layer in enumerate(layers):
        front[layer.depth(layer.own(0, points))[0] > 0] = order
    xy = torch.empty(length, len(start), 2, dtype=torch.float64)
    visible = torch.ones(length, len(start), dtype=torch.bool)
    for order, layer in enumerate(layers):
        own = layer.own(0, points[..., front == order])
        for t in range(length):
            xy[t, front == order] = _moved(layer.poses[t], own)[:, 0].T
    for t in range(length):
        for order, layer in enumerate(layers):
            covered = layer.depth(layer.own(t, xy[t].T[:, None]))[0] > 0
            visible[t] &= ~(covered & (front < order))
    # Rounding must not push a point at the border out of the first frame.
    inside = ((xy >= -1e-6) & (xy <= sides + 1e-6)).all(dim=-1)
    return xy.float(), inside, visible & inside


def _moved(pose: Tensor, xy: Tensor) -> Tensor:
    """Points ``(2, h, w)`` by a map ``(3, 3)``, in their own type."""
    pose = pose.to(xy)
    return torch.einsum("ij,jhw->ihw", pose[:2, :2], xy) + pose[:2, 2, None, None]


def _speed(source: Generator) -> float:
    return _SLOWEST * (_FASTEST / _SLOWEST) ** _between(source, 0, 1)


def _between(source: Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), generator=source, dtype=torch.float64).item()


def _integer(source: Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, (), generator=source))


def _sign(source: Generator) -> int:
    return 2 * _integer(source, 0, 1) - 1
