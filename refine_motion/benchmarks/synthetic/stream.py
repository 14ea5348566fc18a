"""Training clips, pairs with exact flow, and clips with exact tracks, made on the fly."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from refine_motion.benchmarks.synthetic.domains import domain as find_domain
from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.scene import Scene
from refine_motion.benchmarks.synthetic.worlds import random_scene


class ProceduralSamples(Dataset[dict[str, Tensor]]):
    """A map-style dataset with a new scene at every index, the same for the same ``(seed, index)`` in any process.

    Args:
        length: number of samples in an epoch.
        size: height and width in pixels.
        max_speed: no pixel moves farther from one frame to the next, in pixels; None takes the domain's bound.
        seed: any integer.
        domain: name in :data:`refine_motion.benchmarks.synthetic.domains.DOMAINS`.
        device: where samples are made and stay.

    Raises:
        ConfigError: there is no such domain.
    """

    def __init__(
        self,
        length: int,
        size: tuple[int, int],
        max_speed: float | None = None,
        seed: int = 0,
        domain: str = "source",
        device: torch.device | str = "cpu",
    ) -> None:
        self.length = length
        self.size = size
        self.max_speed = max_speed
        self.seed = seed
        self.domain = find_domain(domain).name
        self.device = device

    def __len__(self) -> int:
        return self.length

    def _random(self, index: int, kind: int) -> Generator:
        """What all of a sample is drawn from; samples of another kind share no scene."""
        if not 0 <= index < self.length:
            raise IndexError(f"index {index} is outside of 0..{self.length - 1}")
        return generator(kind, self.seed, index)

    def _scene(self, random: Generator, frames: int) -> Scene:
        seed = random.initial_seed()
        return random_scene(seed, self.size, self.max_speed, frames, self.domain, self.device)


class Clips(ProceduralSamples):
    """Clips without truth; see :class:`ProceduralSamples`.

    Args:
        length: see there.
        size: see there.
        frames: of a clip.
        max_speed: see there.
        seed: see there.
        domain: see there.
        device: see there.

    Raises:
        ConfigError: there is no such domain.
    """

    def __init__(
        self,
        length: int,
        size: tuple[int, int],
        frames: int,
        max_speed: float | None = None,
        seed: int = 0,
        domain: str = "source",
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(length, size, max_speed, seed, domain, device)
        self.frames = frames

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One clip.

        Returns:
            ``frames`` ``(T, 3, H, W)`` uint8, RGB.

        Raises:
            IndexError: ``index`` is not in ``0..length - 1``.
        """
        scene = self._scene(self._random(index, kind=4), self.frames)
        return {"frames": torch.stack([scene.render(t) for t in range(self.frames)])}


class FlowPairs(ProceduralSamples):
    """Pairs with exact flow; see :class:`ProceduralSamples`."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One pair.

        Returns:
            ``image_a`` and ``image_b`` ``(3, H, W)`` uint8, RGB; ``flow`` ``(2, H, W)`` float32 from a to b in pixels,
            exact everywhere, also where the point is hidden in b or outside it; ``valid`` ``(1, H, W)`` bool, True
            where the point is seen in both.

        Raises:
            IndexError: ``index`` is not in ``0..length - 1``.
        """
        scene = self._scene(self._random(index, kind=2), frames=2)
        flow, visible = scene.flow(0, 1)
        return {"image_a": scene.render(0), "image_b": scene.render(1), "flow": flow, "valid": visible[None]}


class TrackClips(Clips):
    """Clips with exact tracks; see :class:`ProceduralSamples`.

    Args:
        length: see there.
        size: see there.
        frames: of a clip.
        points: that are followed in each, from places of the first frame that are drawn evenly.
        max_speed: see there.
        seed: see there.
        domain: see there.
        device: see there.

    Raises:
        ConfigError: there is no such domain.
    """

    def __init__(
        self,
        length: int,
        size: tuple[int, int],
        frames: int,
        points: int,
        max_speed: float | None = None,
        seed: int = 0,
        domain: str = "source",
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(length, size, frames, max_speed, seed, domain, device)
        self.points = points

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One clip.

        Returns:
            ``frames`` ``(T, 3, H, W)`` uint8, RGB; ``xy`` ``(T, N, 2)`` float32 in pixels, exact everywhere, also where
            the point is hidden or outside; ``visible`` ``(T, N)`` bool.

        Raises:
            IndexError: ``index`` is not in ``0..length - 1``.
        """
        random = self._random(index, kind=3)
        scene = self._scene(random, self.frames)
        height, width = self.size
        places = torch.rand(self.points, 2, generator=random, dtype=torch.float64)
        queries = torch.cat((torch.zeros(self.points, 1), places * torch.tensor([width - 1, height - 1])), dim=1)
        tracks = scene.tracks(queries, range(self.frames))
        frames = torch.stack([scene.render(t) for t in range(self.frames)])
        return {"frames": frames, "xy": tracks.xy, "visible": tracks.visible}
