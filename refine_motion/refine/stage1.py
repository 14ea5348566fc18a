"""Stage 1 before stage 2: label what is missing, then say what the labels are like."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from rich.console import Console
from torch.utils.data import DataLoader

from refine_motion.errors import ConfigError, LabelError
from refine_motion.files import remove_abandoned
from refine_motion.labels.generate import LabelModule, LabelWriter, PairLabelModule, TrackLabelModule
from refine_motion.labels.opened import note_videos
from refine_motion.labels.probe import noted_probe, plan_probe, probe_table
from refine_motion.labels.probe_run import ProbedFrames, ProbeModule
from refine_motion.labels.select import EmbeddingRule, LabelRule
from refine_motion.labels.store import LabelStore
from refine_motion.labels.store_base import SafetensorStore
from refine_motion.labels.summary import LabelSummary, summarise
from refine_motion.labels.teacher import FlowTeacher
from refine_motion.labels.track_store import TrackStore
from refine_motion.labels.track_summary import TrackSummary, summarise_tracks
from refine_motion.labels.track_teacher import TrackTeacher
from refine_motion.refine.label_data import LabelDataModule, loading_timeout
from refine_motion.training.report import report


def label_videos(
    trainer: Trainer, teacher: FlowTeacher | TrackTeacher, data: LabelDataModule[Any, Any]
) -> tuple[SafetensorStore[Any, Any], LabelSummary | TrackSummary]:
    """Label everything that has no usable label yet, and print the yield.

    Args:
        trainer: runs the prediction over its processes.
        teacher: the frozen teacher.
        data: the videos; its ``store`` is set.

    Returns:
        The store and the yield under the filters of ``data``.

    Raises:
        VideoError: no video is readable, or none holds a pair.
        LabelError: no pair could be labelled, or the filters keep no pixel.
    """
    data.check(teacher)
    store: SafetensorStore[Any, Any] = teacher.store(data.labels)
    data.store = store
    data.min_side = teacher.min_side
    _check_ceiling(data.filters, teacher.settings.ceiling)
    _check_embedding(data.filters, teacher)
    if trainer.is_global_zero:
        data.prepare_data()
    trainer.strategy.barrier()
    data.setup("predict")
    console = report()
    if data.index is not None and data.index.rejected:
        console.print(data.index.table())
    windows, reasons = data.unlabelled()
    if windows:
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        console.print(f"Stage 1: labelling {sum(reasons.values())} of {len(data.label_keys())} {data.unit} ({told})")
        # One list for the frames and for the names of their labels, whatever else writes to the store meanwhile.
        data.pending = windows
        if trainer.is_global_zero:
            remove_abandoned(store.root)
        # No process may begin to write before every one has seen what is missing.
        trainer.strategy.barrier()
        threads = torch.get_num_threads()
        try:
            module = _labeller(trainer, teacher, data, windows, console)
            _label(trainer, module, store, data, console)
        finally:
            if teacher.settings.threads_per_process is not None:
                torch.set_num_threads(threads)
        for problem in module.problems:
            Console(stderr=True).print(f"not labelled: {problem}", markup=False, soft_wrap=True)
    else:
        console.print(f"Stage 1: all {len(data.label_keys())} {data.unit} are labelled already")
    missing = {key for key, _ in store.missing(data.label_keys())}
    labelled = [key for key in data.label_keys() if key not in missing]
    if not labelled:
        raise LabelError(f"{data.labels}: none of the {data.unit} could be labelled; see the reasons above")
    if trainer.is_global_zero:
        store.write_manifest()
        note_videos(store.root, data.cache, (window.clip.video for window in data.windows))
    summary: LabelSummary | TrackSummary
    if isinstance(store, TrackStore):
        summary = summarise_tracks(store, labelled, data.filters)
    else:
        summary = summarise(store, labelled, data.filters)
    console.print(summary.table())
    console.print(data.held_out(), markup=False, soft_wrap=True)
    if summary.kept_share == 0:
        looked_at = "" if summary.read == len(labelled) else f" of the {summary.read} {data.unit} that were looked at"
        raise LabelError(
            f"{data.labels}: the filters keep none of the stored labels{looked_at}; loosen data.filters (their rule "
            "`cycle` first)"
        )
    return store, summary


def _labeller(
    trainer: Trainer,
    teacher: FlowTeacher | TrackTeacher,
    data: LabelDataModule[Any, Any],
    windows: Sequence[Any],
    console: Console,
) -> LabelModule:
    """What labels the windows."""
    if isinstance(teacher, TrackTeacher):
        return TrackLabelModule(teacher, windows)
    lacking = {window.clip.video.key for window in windows}
    views = _probe(trainer, teacher, teacher.store(data.labels), data, lacking, console)
    return PairLabelModule(teacher, windows, views)


def _probe(
    trainer: Trainer,
    teacher: FlowTeacher,
    store: LabelStore,
    data: LabelDataModule[Any, Any],
    videos: set[str],
    console: Console,
) -> dict[str, tuple[str, ...]]:
    """The views of the videos of some content keys, as far as they are known; none where there is nothing to try."""
    extra = teacher.settings.probe
    if not extra:
        return {}
    plan = [probed for probed in plan_probe(data.windows) if probed.video.key in videos]
    unknown = [probed for probed in plan if noted_probe(store, probed.video.key) is None]
    if unknown:
        console.print(f"Stage 1: trying {', '.join(extra)} on {len(unknown)} of {len(plan)} videos")
        # Lightning refuses fewer samples than processes; where two look at one video, the first one's note counts.
        frames = ProbedFrames(unknown * -(-trainer.world_size // len(unknown)), data.strict)
        workers = min(data.num_workers, 1)
        loader = DataLoader(frames, batch_size=None, num_workers=workers, timeout=loading_timeout(workers))
        trainer.predict(ProbeModule(teacher, store), loader, return_predictions=False)
        # Every process goes by what was noted, whoever noted it.
        trainer.strategy.barrier()
    found = [(probed.video, noted_probe(store, probed.video.key)) for probed in plan]
    probes = [(video, probe) for video, probe in found if probe is not None]
    console.print(probe_table([(video.path.name, probe) for video, probe in probes]))
    return {video.key: probe.views for video, probe in probes}


def _label(
    trainer: Trainer,
    module: LabelModule,
    store: SafetensorStore[Any, Any],
    data: LabelDataModule[Any, Any],
    console: Console,
) -> None:
    """Label the windows of the module over all processes, and say how long it took."""
    writer = LabelWriter(store)
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks.append(writer)
    start = time.monotonic()
    try:
        trainer.predict(module, datamodule=data, return_predictions=False)
    finally:
        callbacks.remove(writer)
    # Every process must see what all have written before any looks at the yield.
    trainer.strategy.barrier()
    seconds, count = time.monotonic() - start, sum(len(window.label_keys()) for window in module.windows)
    each = data.unit.removesuffix("s")
    console.print(f"Stage 1: {count} {data.unit} in {seconds:.0f} s, {seconds / count:.2f} s a {each}")


def _check_ceiling(rules: Sequence[LabelRule], ceiling: float) -> None:
    """Refuse a rule that wants labels which were never stored."""
    for rule in rules:
        if rule.looseness > ceiling:
            raise ConfigError(
                f"{type(rule).__name__} keeps labels up to {rule.looseness:g} times the paper's cycle rule, but only "
                f"{ceiling:g} times is stored: set label.ceiling to {rule.looseness:g}"
            )


def _check_embedding(rules: Sequence[LabelRule], teacher: FlowTeacher | TrackTeacher) -> None:
    """Refuse, before anything is labelled, a rule about evidence that labels will not have."""
    if not (isinstance(teacher, FlowTeacher) and teacher.encoder is not None):
        for rule in rules:
            if isinstance(rule, EmbeddingRule):
                raise rule.no_evidence()
