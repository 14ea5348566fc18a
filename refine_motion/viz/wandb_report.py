"""What a W&B run shows beside its curves: yield per video, student against teacher, and pictures of held-out pairs."""

from __future__ import annotations

from typing import Any

import torch
import wandb
from torch import Tensor

from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.store import PairKey
from refine_motion.labels.store_base import SafetensorStore
from refine_motion.labels.summary import MAX_READ, LabelSummary, summarise
from refine_motion.motion.grid import length
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.dataset import HeldOutPairs
from refine_motion.refine.module import RefineModule
from refine_motion.refine.stage2 import held_out_rows
from refine_motion.viz.flow import flow_to_rgb, overlay_flow

_MAX_VIDEOS = 500
_MAX_PAIRS = 4
# Pixels of one of the three pictures of a pair.
_MAX_WIDTH = 512


def report_to_wandb(
    run: wandb.Run,
    module: RefineModule,
    data: VideoLabelDataModule,
    labels: LabelSummary,
    held_out: dict[str, float],
) -> None:
    """Add tables, pictures and the yield of the labels to a run, after the training.

    Logged are ``labels/videos`` (a table: yield of each video, of 500 at most), ``held_out/means`` (a table: teacher
    and candidates in pixels) and ``held_out/pairs`` (four pairs at most: labels kept, teacher's flow, student's flow);
    the last two only where windows are held out. The summary gets ``labels/pairs`` and the shares
    ``labels/stored_share`` and ``labels/kept_share``, 0 to 1.

    Args:
        run: an open run.
        module: student and teacher, on the device that is to compute their flow.
        data: the videos and labels of the training.
        labels: the yield of all labels.
        held_out: as of :func:`refine_motion.refine.stage2.finish`.
    """
    for name in ("pairs", "stored_share", "kept_share"):
        run.summary[f"labels/{name}"] = getattr(labels, name)
    logged: dict[str, Any] = {}
    if data.store is not None:
        logged["labels/videos"] = _yield_per_video(data, data.store)
    if held_out:
        columns, rows = held_out_rows(held_out, list(module.students()))
        logged["held_out/means"] = wandb.Table(["mean, px", *columns], [[name, *values] for name, values in rows])
        logged["held_out/pairs"] = _pictures(module, data)
    run.log(logged)


def _yield_per_video(data: VideoLabelDataModule, store: SafetensorStore[PairKey, FlowLabel]) -> wandb.Table:
    missing = {key for key, _ in store.missing(data.label_keys())}
    of_video: dict[str, list[PairKey]] = {}
    for window in data.windows:
        keys = [key for key in window.label_keys() if key not in missing]
        of_video.setdefault(str(window.clip.video.path), []).extend(keys)
    labelled = [(path, keys) for path, keys in of_video.items() if keys][:_MAX_VIDEOS]
    table = wandb.Table(["video", "pairs", "stored share", "kept share", "MiB"])
    for path, keys in labelled:
        found = summarise(store, keys, data.filters, max_read=max(1, MAX_READ // len(labelled)))
        table.add_data(path, found.pairs, found.stored_share, found.kept_share, found.bytes / 2**20)
    return table


def _pictures(module: RefineModule, data: VideoLabelDataModule) -> list[wandb.Image]:
    """Centre crops of held-out pairs spread evenly."""
    found_held = [loader.dataset for loader in data.val_dataloader() if isinstance(loader.dataset, HeldOutPairs)]
    if not found_held:
        return []
    held = found_held[0]
    count = min(_MAX_PAIRS, len(held))
    found = []
    for number in (index * len(held) // count for index in range(count)):
        (maps,) = held.__getitems__([number])
        window, pair = held.samples[number]
        clip = held.source.windows[window]
        key = clip.label_keys()[pair]
        kept = maps["weight"][0] > 0
        images = [maps[name][None].to(module.device) for name in ("image_a", "image_b")]
        flows = [model.flow(images[0], images[1], module.iters)[0].cpu() for model in (module.teacher, module.student)]
        max_speed = length(flows[0][None]).max().item()
        panels = [overlay_flow(maps["image_a"], maps["flow"], kept, max_speed)]
        panels += [flow_to_rgb(flow, max_speed) for flow in flows]
        caption = (
            f"{clip.clip.video.path.name} {key.frame_a} to {key.frame_b}: labels kept ({kept.float().mean():.0%}), "
            f"teacher, student; full colour at {max_speed:.3g} px"
        )
        found.append(wandb.Image(_side_by_side(panels), caption=caption))
    return found


def _side_by_side(panels: list[Tensor]) -> Any:
    """``(H, W, 3)`` uint8 array of pictures ``(3, H, W)``, thinned out where they are wide."""
    step = -(-panels[0].shape[-1] // _MAX_WIDTH)
    return torch.cat([panel[:, ::step, ::step] for panel in panels], dim=-1).permute(1, 2, 0).numpy()
