"""Evidence about flow from CorrFlow's embedding: each frame of a window is encoded once, whatever pairs it is in."""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.models.corrflow import CorrFlow
from refine_motion.models.corrflow_training import check_training
from refine_motion.models.load import load_model
from refine_motion.models.registry import as_corrflow
from refine_motion.motion.embedding import embedding_error


def load_encoder(weights: str) -> CorrFlow:
    """The encoder of ``label.embedding``, frozen and in eval mode.

    Args:
        weights: path or name, as of :func:`refine_motion.models.load.load_model`.

    Raises:
        ConfigError: they are of another kind of model, or of an encoder that was trained on grey or Lab frames, or with
            similarities that were not scaled.
        WeightsError: see :func:`refine_motion.models.load.load_model`.
    """
    model = load_model(None, weights)
    try:
        encoder = as_corrflow(model).requires_grad_(False)
        check_training(weights)
    except ConfigError as error:
        raise ConfigError(f"label.embedding ({weights}): {error}") from error
    return encoder


class WindowEmbedding:
    """The frames of a window as an encoder sees them; each is encoded when it is first asked for.

    Args:
        encoder: in eval mode.
        frames: ``(T, 3, H, W)`` uint8.
    """

    def __init__(self, encoder: CorrFlow, frames: Tensor):
        self.encoder, self.frames = encoder, frames
        self._features: dict[int, Tensor] = {}

    @torch.no_grad()
    def error(self, flow: Tensor, a: int, b: int) -> Tensor:
        """See :func:`refine_motion.motion.embedding.embedding_error`; in float32 whatever the training around it.

        Args:
            flow: ``(1, 2, H, W)`` in pixels.
            a: position in the window of the frame that it starts in.
            b: position of the frame that it leads to.

        Returns:
            ``(1, H, W)`` in pixels.
        """
        with torch.autocast(flow.device.type, enabled=False):
            return embedding_error(self._encoded(a), self._encoded(b), flow, self.encoder.stride)

    def _encoded(self, position: int) -> Tensor:
        """``(1, C, h, w)``."""
        if position not in self._features:
            self._features[position] = self.encoder.encode(self.frames[[position]])
        return self._features[position]
