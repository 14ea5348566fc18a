"""The frozen teacher of tracks: points there and back in several views, and the loosely filtered label of a window."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from refine_motion.errors import ConfigError
from refine_motion.labels.fingerprint import fingerprint
from refine_motion.labels.queries import KINDS, dense_queries, seed_queries
from refine_motion.labels.track_codec import TrackLabel, mean_step
from refine_motion.labels.track_consensus import agree
from refine_motion.labels.track_looks import TrackerLook, TrackLook, WindowLook
from refine_motion.labels.track_rules import PAPER_PIXELS, PAPER_SIZE, pixels_at
from refine_motion.labels.track_store import TrackStore
from refine_motion.labels.track_views import TrackView, parse_track_view
from refine_motion.labels.views import View
from refine_motion.models.pips_chain import ChainedModel
from refine_motion.models.track_base import TrackModel, check_queries
from refine_motion.motion.cycle import gradient_strength
from refine_motion.motion.grid import brought_to, resize_frames, resize_places, sample
from refine_motion.motion.patches import colour_change
from refine_motion.types import Evidence

# Words in a list of views: for the second teacher; and for the teacher itself on all frames between those of a window,
# which it goes through in windows of its own.
LINKED, EVERY = "linked", "every frame"
# What moves against most of the picture by more than so many pixels of the paper's frames gets half of the dense
# places.
_APART = 3.0
# Iterations of a model that is not known yet; a number that nobody asks for.
_UNTOLD = 2**31


@dataclass(frozen=True)
class TrackLabelSettings:
    """How stage 1 makes pseudo-tracks. Any change makes new labels beside the old ones.

    Attributes:
        iters: iterations of the teacher; None is as many as its model is tracked with.
        queries: kinds of places where tracks begin, of :data:`refine_motion.labels.queries.KINDS`.
        seeds: about how many of them in a window.
        dense: tracks that are begun besides, in squares around verified ones, half of them around what moves against
            most of the picture.
        dense_side: side of these squares in pixels of frames of 256x448; the paper's code has 40.
        ceiling: what is stored at all: so many times the paper's threshold of 3 px at 256x448. Rules can only tighten.
        views: how the teacher sees the frames, see :func:`refine_motion.labels.track_views.parse_track_view`;
            ``linked`` for the second teacher; or ``every frame`` for the teacher on all frames between those of a
            window too, in smaller steps. Of several, each place is the one on which most agree, see
            :mod:`refine_motion.labels.track_consensus`; beside two or more of the teacher itself, the second teacher
            only confirms places.
        size: ``(H, W)`` that frames are brought to first, for stage 2 as well; None leaves them as they are. In the
            paper, PIPs labels at 768x1280 or 256x448. Where their sides have another ratio, by more than a tenth, they
            keep it and get as many pixels: an upright video is not squashed.
        enlarge: frames with fewer pixels than ``size`` too, as published.
        follow_hidden: take every frame for seen and begin all ways back in the last one, as published.
        threads_per_process: CPU threads of each labelling process; None leaves what torch has chosen.
    """

    iters: int | None = None
    queries: tuple[str, ...] = KINDS
    seeds: int = 192
    dense: int = 320
    dense_side: int = 24
    ceiling: float = 2.0
    views: tuple[str, ...] = ("1x",)
    size: tuple[int, int] | None = None
    enlarge: bool = True
    follow_hidden: bool = False
    threads_per_process: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: a value is out of range.
        """
        if (
            min(self.iters or 1, self.seeds, self.dense_side) < 1
            or self.iters == 0
            or self.dense < 0
            or self.ceiling <= 0
        ):
            raise ConfigError(
                "label: iters, seeds and dense_side must be at least 1, dense not negative and ceiling positive; got "
                f"{self.iters}, {self.seeds}, {self.dense_side}, {self.dense} and {self.ceiling}"
            )
        # Also of different words for the same.
        if not self.views or len({_parsed(v, self.iters or _UNTOLD) or v for v in self.views}) < len(self.views):
            raise ConfigError(f"label.views must be one or more different views, got {list(self.views)}")
        if not self.queries or not set(self.queries) <= set(KINDS):
            raise ConfigError(f"label.queries must be some of {', '.join(KINDS)}, got {list(self.queries)}")
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"label.size must be a height and a width in pixels, got {list(self.size)}")
        if self.threads_per_process is not None and self.threads_per_process < 1:
            raise ConfigError(f"label.threads_per_process must be at least 1, got {self.threads_per_process}")

    def shown_size(self, native: tuple[int, int]) -> tuple[int, int]:
        """Height and width that frames ``(H, W)`` are brought to."""
        return native if self.size is None else brought_to(native, self.size, self.enlarge)


def _parsed(text: str, iters: int) -> TrackView | None:
    """The view of a text; None of ``linked`` and ``every frame``."""
    return None if text in (LINKED, EVERY) else parse_track_view(text, iters)


class TrackTeacher:
    """Frozen models that label windows.

    Args:
        model: the model that is refined.
        settings: how labels are made.
        linked: the second teacher, for the view ``linked``.

    Raises:
        ConfigError: ``linked`` is among the views, and there is no second teacher; sub-windows are no shorter than
            the model's windows; or frames would be too small.
    """

    def __init__(self, model: ChainedModel, settings: TrackLabelSettings, linked: TrackModel | None = None):
        self.iters = model.iters if settings.iters is None else settings.iters
        # Also refuses two views that are the same with as many iterations.
        settings = replace(settings, iters=self.iters)
        if LINKED in settings.views and linked is None:
            raise ConfigError("label.views has `linked`: give the weights of a flow model as model.linked")
        for text in settings.views:
            view = _parsed(text, self.iters)
            if view is not None and view.frames is not None and view.frames >= model.min_frames:
                raise ConfigError(
                    f"label.views has `{text}`, but the windows of {model.name} have only {model.min_frames} frames"
                )
        self.model = model.eval().requires_grad_(False)
        self.linked = linked.eval().requires_grad_(False) if linked is not None and LINKED in settings.views else None
        self.settings = settings
        least = self.min_side
        if settings.size is not None and min(settings.size) < least:
            raise ConfigError(
                f"label.size must be at least {least} pixels in height and width for these views, got "
                f"{list(settings.size)}"
            )
        self.models: list[nn.Module] = [one for one in (self.model, self.linked) if one is not None]
        self.facts: dict[str, object] = {"model": model.name, **asdict(settings)}
        if self.linked is not None:
            # What its weights do not tell.
            about = {name: getattr(self.linked, name, None) for name in ("iters", "distances")}
            self.facts["linked"] = {"model": self.linked.name, **about, "places": all(self._placing())}
        self.fingerprint = fingerprint(self.facts, *self.models)

    @property
    def between(self) -> bool:
        """Whether it looks at frames between those of a window."""
        return EVERY in self.settings.views

    def store(self, root: str | Path) -> TrackStore:
        """Where its labels are."""
        return TrackStore(root, self.fingerprint, self.facts)

    @property
    def min_side(self) -> int:
        """Smallest side of frames, in pixels, that the models can take in every view."""
        sides = []
        for text in self.settings.views:
            view = _parsed(text, 1)
            if view is None:
                sides.append(self._tracker(text).min_side)
            else:
                sides.append(math.ceil(self.model.min_side / min(1.0, view.view.scale)))
        return max(sides)

    def take_threads(self) -> None:
        """Compute with as many threads as the settings ask for, once a process has been given its own number."""
        if self.settings.threads_per_process is not None:
            torch.set_num_threads(self.settings.threads_per_process)

    @torch.no_grad()
    def label(
        self, frames: Tensor, seed: int, queries: Tensor | None = None, times: Tensor | None = None
    ) -> TrackLabel:
        """Pseudo-tracks of one window.

        Args:
            frames: ``(T, 3, H, W)`` uint8, of the window and, where ``times`` are given, between its frames.
            seed: of the choice among dense places.
            queries: ``(N, 2)`` places in the first frame, in pixels of it; None chooses them. Where they are given,
                those that would have been chosen only tell how most of the picture moves.
            times: ``(S,)`` int64, which of the frames are those of the window; None is all of them.

        Returns:
            Tracks within the ceiling, on the CPU.

        Raises:
            ConfigError: one of the queries lies outside the frame, or there is none.
        """
        settings = self.settings
        native = (frames.shape[-2], frames.shape[-1])
        size = settings.shown_size(native)
        frames = resize_frames(frames, size)
        if queries is not None:
            queries = queries.detach().float().cpu()
            check_queries(torch.cat((torch.zeros(len(queries), 1), queries), dim=1), native)
        # Float32, whatever the precision of a training around it.
        with torch.autocast(next(self.model.parameters()).device.type, enabled=False):
            times = torch.arange(len(frames)) if times is None else times
            looks = [self._look(frames, times, text) for text in settings.views]
            # Places are on the CPU, and so is what is found about them.
            frames = frames[times].cpu()
            asked = seed_queries(frames, settings.queries, settings.seeds)
            label = self._follow(frames, looks, asked)
            if queries is not None:
                # A few named points may all be of one thing, whose motion would pass for that of the camera.
                own = self._follow(frames, looks, resize_places(queries, native, size))
                return replace(own, motion=label.dominant)
            if not settings.dense:
                return label
            more = self._dense(label, size, asked, seed)
            return _joined(label, self._follow(frames, looks, more)) if len(more) else label

    def _tracker(self, text: str) -> TrackModel:
        """What tracks through frames as through a video, under one of the words."""
        if text == EVERY:
            model = copy.copy(self.model)
            model.iters = self.iters
            return model
        assert self.linked is not None  # The settings were checked.
        return self.linked

    def _look(self, frames: Tensor, times: Tensor, text: str) -> TrackLook:
        view = _parsed(text, self.iters)
        if view is not None:
            return WindowLook(self.model, frames[times], view)
        tracker = self._tracker(text)
        if text == EVERY:
            return TrackerLook(tracker, frames, View(), times)
        return TrackerLook(tracker, frames[times], View())

    def _follow(self, frames: Tensor, looks: Sequence[TrackLook], xy: Tensor) -> TrackLabel:
        """Those tracks from some places that are good enough to be stored."""
        size = (frames.shape[-2], frames.shape[-1])
        if not len(xy):
            # Nothing to begin at in a plain picture, or where nothing changes.
            return _nothing(len(frames), size, " + ".join(self.settings.views))
        agreed = agree([look.ways(xy, self.settings.follow_hidden) for look in looks], size, self._placing())
        places, back, seen, seen_back = (getattr(agreed.ways, n) for n in ("places", "back", "seen", "seen_back"))
        if not self.settings.follow_hidden:
            # Whatever the models say, nobody sees a point there.
            inside = _inside(places, size)
            seen, seen_back = seen & inside, seen_back & inside
        known = seen & seen_back
        largest = torch.where(known, (places - back).norm(dim=-1), 0.0).amax(dim=0)
        # Against the first frame, which differs from itself by nothing.
        later = (known.sum(dim=0) - 1).clamp(min=1)
        colours = torch.where(known, colour_change(frames, places), 0.0).sum(dim=0) / later
        gradient = sample(gradient_strength(frames[:1].float())[None], xy.T[None, :, None], "border")[0, 0, 0]
        evidence = Evidence(
            cycle_error=largest,
            speed=mean_step(places, known),
            backward_speed=mean_step(back, known),
            colour_error=colours,
            gradient=gradient,
            spread=torch.where(known, agreed.spread, 0.0).amax(dim=0),
            boundary=torch.zeros(len(xy)),
        )
        limit = pixels_at(self.settings.ceiling * PAPER_PIXELS, PAPER_SIZE, size)
        finite = places.isfinite().all(dim=-1).all(dim=0) & evidence.backward_speed.isfinite()
        # Known in the first frame alone, a track says nothing.
        good = finite & (largest < limit) & (known.sum(dim=0) > 1)
        # Not by TrackLabel.keep: the others must have no part in the dominant motion, least of all what is not finite.
        return TrackLabel(
            size,
            places[:, good],
            seen[:, good],
            seen_back[:, good],
            evidence[good],
            views=" + ".join(self.settings.views),
        )

    def _placing(self) -> list[bool]:
        """Of each view, whether it places points.

        Linked flow falls the furthest short of slow motion, there and back alike, so no cycle error tells: by a quarter
        to three quarters of a way of 2 to 5 px in a window. As a witness it is worth more than what it adds.
        """
        own = [text != LINKED for text in self.settings.views]
        return own if sum(own) > 1 else [True] * len(own)

    def _dense(self, label: TrackLabel, size: tuple[int, int], asked: Tensor, seed: int) -> Tensor:
        settings = self.settings
        side = max(1, round(pixels_at(settings.dense_side, PAPER_SIZE, size)))
        verified = label.evidence.cycle_error < pixels_at(PAPER_PIXELS, PAPER_SIZE, size)
        moving = verified & (label.relative.norm(dim=-1) > pixels_at(_APART, PAPER_SIZE, size))
        first = dense_queries(label.xy[moving], side, settings.dense // 2, size, asked, seed)
        taken = torch.cat((asked, first))
        rest = dense_queries(label.xy[verified], side, settings.dense - len(first), size, taken, seed + 1)
        return torch.cat((first, rest))


def _inside(places: Tensor, size: tuple[int, int]) -> Tensor:
    """Whether places ``(..., 2)`` lie on pixels of frames ``(H, W)``."""
    return ((places >= -0.5) & (places <= torch.tensor([size[1] - 0.5, size[0] - 0.5]))).all(dim=-1)


def _nothing(frames: int, size: tuple[int, int], views: str) -> TrackLabel:
    seen = torch.zeros(frames, 0, dtype=torch.bool)
    evidence = Evidence(**{field.name: torch.zeros(0) for field in fields(Evidence)})
    return TrackLabel(size, torch.zeros(frames, 0, 2), seen, seen, evidence, views=views)


def _joined(first: TrackLabel, second: TrackLabel) -> TrackLabel:
    return TrackLabel(
        first.size,
        torch.cat((first.places, second.places), dim=1),
        torch.cat((first.seen, second.seen), dim=1),
        torch.cat((first.seen_back, second.seen_back), dim=1),
        first.evidence.joined(second.evidence),
        first.dominant,
        first.views,
    )
