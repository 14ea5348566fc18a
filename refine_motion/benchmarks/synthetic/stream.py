"""Training pairs with exact flow, made on the fly."""

from __future__ import annotations

from torch import Tensor
from torch.utils.data import Dataset

from refine_motion.benchmarks.synthetic.draw import generator, uniform
from refine_motion.benchmarks.synthetic.scene import random_scene


class FlowPairs(Dataset[dict[str, Tensor]]):
    """A map-style dataset with a new scene at every index, the same for the same ``(seed, index)`` in any process.

    Each scene has its own sensor noise (standard deviation up to 4 grey levels) and brightness drift (up to 2 % between
    the two images), so that these differ in more than motion.

    Args:
        length: number of pairs in an epoch.
        size: height and width in pixels.
        max_speed: no pixel moves farther, in pixels; see :func:`random_scene`.
        seed: any integer.
    """

    def __init__(self, length: int, size: tuple[int, int], max_speed: float = 8.0, seed: int = 0) -> None:
        self.length = length
        self.size = size
        self.max_speed = max_speed
        self.seed = seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One pair.

        Returns:
            ``image_a`` and ``image_b`` ``(3, H, W)`` uint8, RGB; ``flow`` ``(2, H, W)`` float32 from a to b in pixels,
            exact everywhere, also where the point is hidden in b or outside it; ``valid`` ``(1, H, W)`` bool, True
            where the point is seen in both.

        Raises:
            IndexError: ``index`` is not in ``0..length - 1``.
        """
        if not 0 <= index < self.length:
            raise IndexError(f"index {index} is outside of 0..{self.length - 1}")
        source = generator(2, self.seed, index)
        scene = random_scene(
            source.initial_seed(),
            self.size,
            self.max_speed,
            noise=uniform(source, 0.0, 4.0),
            drift=uniform(source, 0.0, 0.1),
        )
        flow, visible = scene.flow(0, 1)
        return {"image_a": scene.render(0), "image_b": scene.render(1), "flow": flow, "valid": visible[None]}
