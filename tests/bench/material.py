"""The real weights, videos and true flow that are measured on."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.models.base import FlowModel
from refine_motion.models.load import load_model
from refine_motion.video.decoding import read_decord


def shared() -> Path | None:
    """The folder of real material, where there is one."""
    folder = Path(os.environ.get("REFINE_MOTION_SHARED") or "/nonexistent")
    return folder if folder.is_dir() else None


def data() -> Path:
    """Its folder of weights, videos and flow."""
    return Path(os.environ["REFINE_MOTION_SHARED"]) / "data"


def weights() -> Path:
    """The official RAFT-small."""
    return data() / "weights" / "raft-small.pth"


def raft_small(device: str) -> FlowModel:
    """RAFT-small with its real weights, in float32 proper: TF32 would be a difference of its own."""
    torch.backends.cudnn.allow_tf32 = False
    return load_model("raft_small", weights()).requires_grad_(False).to(device)


def frames(video: str, first: int, count: int, device: str) -> Tensor:
    """Successive frames ``(T, 3, H, W)`` uint8 of a real video, at its own size."""
    pictures = torch.from_numpy(read_decord(data() / "videos" / video, list(range(first, first + count))))
    return pictures.permute(0, 3, 1, 2).contiguous().to(device)


def resized(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of frames ``(T, 3, H, W)`` uint8, cut to the shape of ``(h, w)`` and resized to it."""
    height, width = pictures.shape[-2:]
    scale = min(height / size[0], width / size[1])
    cut_h, cut_w = round(size[0] * scale), round(size[1] * scale)
    top, left = (height - cut_h) // 2, (width - cut_w) // 2
    cut = pictures[..., top : top + cut_h, left : left + cut_w].float()
    return F.interpolate(cut, size, mode="bilinear", align_corners=False, antialias=True).round().byte()


def true_pairs(device: str) -> dict[str, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Both frames ``(1, 3, H, W)``, true flow ``(1, 2, H, W)`` in pixels and where it is known, by scene."""
    found = {}
    for scene in ("rubberwhale", "grove2"):
        (pair,) = find_pairs(data() / "flow" / scene)
        a, b, flow, valid = (part[None].to(device) for part in read_pair(pair))
        found[scene] = (a, b, flow, valid)
    return found
