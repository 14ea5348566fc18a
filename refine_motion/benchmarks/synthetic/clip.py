"""Procedural scenes as video files with their truth beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image

from refine_motion.benchmarks.flow_files import write_flo
from refine_motion.benchmarks.synthetic.domains import domain
from refine_motion.benchmarks.synthetic.truth import TRUTH, clip_truth, write_truth
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.errors import ConfigError
from refine_motion.video.decoding import read_pyav
from refine_motion.video.writer import write_video


def write_clip(
    folder: str | Path,
    seed: int,
    frames: int = 48,
    size: tuple[int, int] = (240, 320),
    max_speed: float | None = None,
    pairs: int = 4,
    name: str = "source",
    clean: bool = False,
    fps: float = 24.0,
) -> Path:
    """Write ``<folder>/videos/<clip>.mp4``, and with pairs ``<folder>/truth/<clip>/`` with its truth.

    A clip is called ``<domain>_<seed>``, so that several share a folder. Videos and truth lie apart because a folder of
    frames counts as a video where videos are looked for. The truth folder is laid out as
    :func:`refine_motion.benchmarks.pairs.find_pairs` reads it: ``frame_0003.png``, ``frame_0004.png``,
    ``flow_0003.flo``. Its frames are those decoded from the mp4, with the losses of its compression, because these are
    what a model sees in a user's video. The flow is the scene's own, exact and dense: also where the point is hidden
    in the second frame or outside it. ``truth.safetensors`` beside them holds visibility, tracks, masks and key-points
    (:mod:`refine_motion.benchmarks.synthetic.truth`).

    Args:
        folder: made where it does not exist.
        seed: of the scene.
        frames: length of the video.
        size: height and width in pixels, both even (the video stores colour at half size).
        max_speed: no visible point moves farther from one frame to the next, in pixels; None takes the domain's bound.
        pairs: how many pairs of neighbouring frames get truth, spread evenly over the video; 0 writes the video alone.
        name: the domain.
        clean: whether to leave out noise, blur and all else between scene and picture.
        fps: frames per second.

    Returns:
        The video file.

    Raises:
        ConfigError: there is no such domain, the size is odd, the video is too short for the pairs, or ``fps`` is out
            of range.
        VideoError: the video cannot be written.
    """
    if any(side % 2 for side in size):
        raise ConfigError(f"size {size[0]} x {size[1]}: an mp4 needs an even height and width")
    if not 0 <= pairs < frames:
        raise ConfigError(f"pairs {pairs}: {frames} frames have up to {frames - 1} pairs of neighbours")
    scene = random_scene(seed, size, max_speed, frames, name)
    if clean:
        scene = scene.clean()
    clip = clip_name(name, seed)
    video = Path(folder) / "videos" / f"{clip}.mp4"
    with one_thread():
        write_video(video, (scene.render(t) for t in range(frames)), fps, domain(name).crf)
        if not pairs:
            return video
        truth = Path(folder) / "truth" / clip
        truth.mkdir(parents=True, exist_ok=True)
        starts = [round((k + 0.5) * (frames - 1) / pairs - 0.5) for k in range(pairs)]
        shown = {t for start in starts for t in (start, start + 1)}
        # Decoding from the start, which needs no probed index, is bit for bit what the package's reader gives.
        for t, picture in read_pyav(video, shown, timestamps=(), keyframes=()).items():
            Image.fromarray(picture).save(truth / f"frame_{t:04d}.png")
        for start in starts:
            write_flo(truth / f"flow_{start:04d}.flo", scene.flow(start, start + 1)[0].cpu())
        write_truth(truth / TRUTH, clip_truth(scene, frames, starts, seed))
    return video


def clip_name(name: str, seed: int) -> str:
    """Name of the clip of a domain with a seed."""
    return f"{name}_{seed:04d}"


@contextmanager
def one_thread() -> Iterator[None]:
    """Threads save little on frames this small, and waiting for each other on busy cores cost 10 times the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
