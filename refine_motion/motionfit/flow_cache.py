"""Optical flow of videos on disk: computed once per video, stride, size and flow model, read in pieces.

How the flow of the paper was made is not published (``spec/motionfit.md`` 2). Here a flow model makes it from frames of
the size that the teacher sees, so that nothing has to be scaled, and it is kept in one byte a component.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import torch
from rich.console import Console
from rich.progress import track
from safetensors import SafetensorError, safe_open
from torch import Tensor

from refine_motion.errors import ConfigError, LabelError
from refine_motion.files import remove_abandoned, replacing
from refine_motion.labels.fingerprint import fingerprint
from refine_motion.models.base import FlowModel, FrameFeatures, resize_flow
from refine_motion.motion.grid import resize_frames
from refine_motion.motionfit.timeline import Footage, timeline
from refine_motion.video.info import VideoInfo
from refine_motion.video.stream import stream_frames

_SCHEMA = "flow 1"
_TENSOR = "flow"
_STEPS = 127
_MOST_SCALE = 8.0
# Of the frames that are encoded in one go: it bounds the memory, and a GPU is busy with it.
_CHUNK_PIXELS = 2**20


@dataclass(frozen=True)
class FlowSettings:
    """How flow is made.

    Attributes:
        network: name of the flow model; ``None`` recognises it from the weights.
        weights: what :func:`refine_motion.models.load.load_flow_model` takes.
        iters: its iterations.
        limit: in pixels; u and v are clipped to so many either way and stored in 127 steps.
        scale: frames are enlarged by this factor for the flow model, and its flow is brought back to their size:
            small things that move little are beyond a model that looks at every eighth pixel.
    """

    network: str | None = None
    weights: str = "embedded"
    iters: int = 12
    limit: float = 20.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: there is no iteration, the limit is not positive or not finite, or the scale out of range.
        """
        if self.iters < 1:
            raise ConfigError(f"flow.iters must be at least 1, got {self.iters}")
        if not 0 < self.scale <= _MOST_SCALE:
            raise ConfigError(f"flow.scale must be more than 0 and at most {_MOST_SCALE:g}, got {self.scale:g}")
        if not 0 < self.limit < math.inf:
            raise ConfigError(f"flow.limit must be more than 0 pixels and finite, got {self.limit:g}")


class FlowCache:
    """Flow of videos, in ``root/<key>/<two hex digits>/<digest>.safetensors``, a file per video and stride.

    Caches of several settings live side by side under one root. An instance can be pickled; once its key is known
    (after :meth:`fill`), its copies in other processes read without loading the flow model.

    Args:
        root: folder of the cache.
        settings: how flow is made.
        footage: frames between which it is, and their size.
    """

    def __init__(self, root: str | Path, settings: FlowSettings, footage: Footage):
        self.root = Path(root)
        self.settings, self.footage = settings, footage

    @cached_property
    def key(self) -> str:
        """16 hex digits over all that changes the flow, the model's weights included; the first use loads the model.

        Raises:
            ConfigError, WeightsError: see :func:`refine_motion.models.load.load_flow_model`; or the frames are too
                small for the model.
        """
        model = self._load()
        # Not under which name the weights were found: the same weights in another place make the same flow.
        facts = {
            "schema": _SCHEMA,
            "network": model.name,
            "iters": self.settings.iters,
            "limit": float(self.settings.limit),
            "scale": float(self.settings.scale),
            "size": list(self.footage.size),
            "fps": None if self.footage.fps is None else float(self.footage.fps),
        }
        return fingerprint(facts, model)

    @property
    def _size(self) -> tuple[int, int]:
        """Of the frames that the flow model sees."""
        height, width = self.footage.size
        return round(height * self.settings.scale), round(width * self.settings.scale)

    @property
    def folder(self) -> Path:
        """Where the files of these settings are."""
        return self.root / self.key

    def fill(
        self, videos: Sequence[VideoInfo], strides: Sequence[int], device: torch.device, progress: bool = True
    ) -> None:
        """Compute what is missing or cannot be read; each video that lacks something is decoded once.

        Files appear when they are complete, so a run that was killed loses the video it was at.

        Args:
            videos: of which flow is wanted.
            strides: in frames of the timeline, at least 1.
            device: that computes it.
            progress: show a progress bar, on a terminal.

        Raises:
            ConfigError, WeightsError: see :attr:`key`.
            VideoError: a video cannot be read.
            ValueError: a stride is below 1.
        """
        if min(strides, default=1) < 1:
            raise ValueError(f"strides must be at least 1, got {list(strides)}")
        missing = [video for video in {video.key: video for video in videos}.values() if self._missing(video, strides)]
        if not missing:
            return
        remove_abandoned(self.folder)
        self._write_settings()
        model = self._load().to(device)
        console = Console(stderr=True)
        disable = not (progress and console.is_terminal)
        for video in track(missing, "computing flow", console=console, transient=True, disable=disable):
            # Another process may have made it meanwhile.
            if lacking := self._missing(video, strides):
                self._make(model, video, lacking, device)

    def read(self, video: VideoInfo, stride: int, first: int, count: int) -> Tensor:
        """Successive flows of a video, each from one frame to the one ``stride`` later.

        Args:
            video: one of those that :meth:`fill` was given.
            stride: in frames of the timeline.
            first: the frame where the first flow starts, counted on the timeline; a multiple of the stride.
            count: how many flows, at least 1.

        Returns:
            ``(2, count, H, W)`` int8, u first; see :func:`pixels`.

        Raises:
            ValueError: they are not within the video, or none starts at that frame.
            LabelError: the file is missing or damaged.
        """
        frames = self._frames(video)
        if stride < 1 or first < 0 or first % stride or count < 1 or first + count * stride >= frames:
            raise ValueError(
                f"{video.path}: {count} flows of stride {stride} from frame {first} on are not within its {frames} "
                "frames, or do not start at a multiple of the stride"
            )
        path, start = self._path(video, stride), first // stride
        try:
            with safe_open(path, framework="pt") as file:
                flow: Tensor = self._flows(file, video, stride, frames)[start : start + count]
        except FileNotFoundError as error:
            raise LabelError(
                f"{path}: the flow of {video.path} at stride {stride} is missing; run the command again, it computes "
                "just what is missing"
            ) from error
        except (SafetensorError, OSError, ValueError) as error:
            raise LabelError(f"{path}: damaged ({error}); delete it and run the command again") from error
        return flow.transpose(0, 1).contiguous()

    def _load(self) -> FlowModel:
        # Imported here, so that reading needs no network's code.
        from refine_motion.models.load import load_flow_model

        model = load_flow_model(self.settings.network, self.settings.weights)
        height, width = self._size
        if min(height, width) < model.min_side:
            raise ConfigError(
                f"footage.size times flow.scale is {height}x{width}, and {model.name!r} takes frames of at least "
                f"{model.min_side} pixels on each side; raise one of them"
            )
        return model

    def _path(self, video: VideoInfo, stride: int) -> Path:
        digest = hashlib.sha256(f"{video.key}:{stride}".encode()).hexdigest()[:32]
        return self.folder / digest[:2] / f"{digest}.safetensors"

    def _identity(self, video: VideoInfo, stride: int) -> dict[str, str]:
        """What the header of a file says."""
        return {"schema": _SCHEMA, "key": self.key, "video": video.key, "stride": str(stride)}

    def _frames(self, video: VideoInfo) -> int:
        return len(timeline(video, self.footage.fps))

    def _shape(self, frames: int, stride: int) -> list[int]:
        return [(frames - 1) // stride, 2, *self.footage.size]

    def _flows(self, file: Any, video: VideoInfo, stride: int, frames: int) -> Any:
        """The ``(N, 2, H, W)`` of an open file, to be read in slices.

        Raises:
            ValueError: it is not what its name says.
            SafetensorError: it has no flow.
        """
        found = file.metadata() or {}
        wrong = [name for name, value in self._identity(video, stride).items() if found.get(name) != value]
        if wrong:
            raise ValueError(f"of another {wrong[0]}")
        flows = file.get_slice(_TENSOR)
        if flows.get_shape() != self._shape(frames, stride):
            raise ValueError(f"of shape {flows.get_shape()}, not {self._shape(frames, stride)}")
        return flows

    def _missing(self, video: VideoInfo, strides: Sequence[int]) -> list[int]:
        """Strides at which a video has flow, but no file that can be read."""
        frames = self._frames(video)
        return [
            stride for stride in dict.fromkeys(strides) if stride < frames and not self._is_there(video, stride, frames)
        ]

    def _is_there(self, video: VideoInfo, stride: int, frames: int) -> bool:
        try:
            with safe_open(self._path(video, stride), framework="pt") as file:
                self._flows(file, video, stride, frames)
        except (SafetensorError, OSError, ValueError):
            return False
        return True

    def _write_settings(self) -> None:
        content = {"schema": _SCHEMA, "flow": asdict(self.settings), "footage": asdict(self.footage)}
        with replacing(self.folder / "settings.json") as partial:
            partial.write_text(json.dumps(content, indent=1), encoding="utf-8")

    @torch.no_grad()
    def _make(self, model: FlowModel, video: VideoInfo, strides: Sequence[int], device: torch.device) -> None:
        """Write the files of a video, batch by batch: neither its frames nor its flow are ever in memory as a whole."""
        with ExitStack() as stack:
            files = {stride: stack.enter_context(self._writing(video, stride)) for stride in strides}
            last: dict[int, FrameFeatures] = {}
            for places, frames in self._chunks(video, strides, device):
                features = model.encode(frames)
                for stride, file in files.items():
                    chosen = features[[number for number, place in enumerate(places) if place % stride == 0]]
                    chain = _joined(last[stride], chosen) if stride in last else chosen
                    last[stride] = chain[-1:]
                    if len(chain.matching) > 1:
                        flow = model.match(chain[:-1], chain[1:], self.settings.iters)[-1]
                        flow = resize_flow(flow, self.footage.size)
                        file.write(_stored(flow, self.settings.limit).cpu().numpy().tobytes())

    def _chunks(
        self, video: VideoInfo, strides: Sequence[int], device: torch.device
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Frames of the timeline that one of the strides needs: their places on it, and ``(T, 3, H, W)`` uint8."""
        numbers = timeline(video, self.footage.fps)
        needed = [place for place in range(len(numbers)) if any(place % stride == 0 for stride in strides)]
        length = max(1, _CHUNK_PIXELS // math.prod(self._size))
        stream = enumerate(stream_frames(video))
        for start in range(0, len(needed), length):
            places = needed[start : start + length]
            frames = []
            for place in places:
                frame = next(frame for number, frame in stream if number == numbers[place])
                # One by one, since frames of the original size take the most memory.
                frames.append(resize_frames(frame[None].to(device), self._size))
            yield places, torch.cat(frames)

    @contextmanager
    def _writing(self, video: VideoInfo, stride: int) -> Iterator[BinaryIO]:
        """A file that takes the bytes of ``(N, 2, H, W)`` in order; as it is written, so it lies on disk."""
        shape = self._shape(self._frames(video), stride)
        header = {
            "__metadata__": self._identity(video, stride),
            _TENSOR: {"dtype": "I8", "shape": shape, "data_offsets": [0, math.prod(shape)]},
        }
        # By hand, because safetensors' own writer wants all of it at once.
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with replacing(self._path(video, stride)) as partial, partial.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            yield file


def pixels(stored: Tensor, limit: float) -> Tensor:
    """Flow as it was before it was stored, within half a step of ``limit / 127``, or clipped.

    Args:
        stored: int8 of any shape.
        limit: of :class:`FlowSettings`.

    Returns:
        The same shape, float32 in pixels.
    """
    return stored.float() * (limit / _STEPS)


def _stored(flow: Tensor, limit: float) -> Tensor:
    """The inverse of :func:`pixels`."""
    return (flow.clamp(-limit, limit) * (_STEPS / limit)).round().to(torch.int8)


def _joined(one: FrameFeatures, other: FrameFeatures) -> FrameFeatures:
    return replace(
        one,
        matching=torch.cat((one.matching, other.matching)),
        context=torch.cat((one.context, other.context)),
    )
