"""TAP-Vid (Doersch et al., NeurIPS 2022, arXiv 2211.03726) and RoboTAP (Vecerik et al., ICRA 2024).

Files, as the authors publish them (google-deepmind/tapnet)::

    tapvid_davis.pkl                 name -> {video uint8 (T,H,W,3), points (N,T,2) in 0..1, occluded bool (N,T)}
    tapvid_rgb_stacking.pkl          a list of the same, without names
    0000_of_0010.pkl …               Kinetics, made by their script: lists of the same; a video may be a list of JPEGs
    robotap_split0.pkl …             as DAVIS

Protocol (``tapnet/tapvid/evaluation_datasets.py``): frames are brought to 256 x 256 whatever their aspect, by Lanczos
as there, and places are scored at that size. Places in the files are *raster* coordinates, whose 0 and 1 are the outer
edges of the frame; here they become pixel centres, (x W - 1/2, y H - 1/2), in truth, queries and estimates alike, so
that no distance changes. Places of hidden points mean nothing. The value of a benchmark is the mean over its videos.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from refine_motion.benchmarks.tracks.benchmark import TrackBenchmark
from refine_motion.benchmarks.tracks.pickles import read_pickle
from refine_motion.benchmarks.tracks.scoring import TAP_COLUMNS, tap_scores
from refine_motion.benchmarks.tracks.video import TrackVideo, ask
from refine_motion.errors import BenchmarkError
from refine_motion.metrics.functional.tracks import QueryMode, queries
from refine_motion.types import Tracks

Subset = Literal["davis", "kinetics", "rgb_stacking", "robotap"]
SIZE = (256, 256)
# Of the query frames in the mode "strided".
STRIDE = 5
_FILES = {
    "davis": "tapvid_davis*.pkl",
    "kinetics": "*_of_*.pkl",
    "rgb_stacking": "tapvid_rgb_stacking*.pkl",
    "robotap": "robotap_split*.pkl",
}


# As published. Of Kinetics each download lacks others.
_VIDEOS = {"davis": 30, "rgb_stacking": 50, "robotap": 265}
_SHARD = re.compile(r"(\d+)_of_(\d+)")


class TapVid(TrackBenchmark):
    """TAP-Vid's DAVIS, Kinetics and RGB-Stacking, and RoboTAP; see :mod:`refine_motion.benchmarks.tracks.tap_vid`.

    Args:
        root: one of the pickle files, or a folder that holds them, at any depth.
        subset: which of them; says what the files are called.
        queries: ``first``: each point once, from the first frame in which it is seen, and only the frames after that
            count. ``strided``: from every fifth frame in which it is seen, and all other frames count.
        full_resolution: show models the frames as they are; what they say is scaled to 256 x 256. A category of its
            own: such numbers are not those of the usual tables.
    """

    columns = TAP_COLUMNS

    def __init__(
        self,
        root: str | None = None,
        subset: Subset = "davis",
        queries: QueryMode = "first",
        full_resolution: bool = False,
    ):
        super().__init__(root)
        self.subset, self.queries, self.full_resolution = subset, queries, full_resolution

    @property
    def title(self) -> str:
        """The subset and the protocol."""
        frames = "frames of full size, scored at" if self.full_resolution else "frames of"
        return f"TAP-Vid {self.subset}, queries {self.queries}, {frames} 256 x 256"

    @property
    def notes(self) -> tuple[str, ...]:
        """The scores."""
        return (
            "AJ: average Jaccard. d_avg: % of seen places nearer than 1, 2, 4, 8, 16 px. OA: occlusion accuracy.",
            "Places are shares of 256 px, as the authors score them; some codes score shares of 255 px.",
        )

    def videos(self) -> Iterator[TrackVideo]:
        """One file is held at a time.

        Raises:
            BenchmarkError: there is no such file, or one is damaged or holds something else.
        """
        self.skipped.clear()
        files = self._files()
        if self.place().is_dir() and (absent := _absent(files)):
            self.skipped["files of the set, which are not there"] += absent
        served = 0
        for path in files:
            # All of a file at once: what is wrong with its last is told before its first is scored.
            videos = [
                tap_video(
                    name, entry, self.queries, SIZE, source=f"{path}: {name}", full_resolution=self.full_resolution
                )
                for name, entry in _entries(path)
            ]
            served += len(videos)
            yield from videos
        if (missing := _VIDEOS.get(self.subset, 0) - served) > 0:
            self.skipped[f"of the {_VIDEOS[self.subset]} videos of the set, which are not there"] += missing

    def scores(self, video: TrackVideo, tracks: Tracks) -> dict[str, float]:
        """See :func:`refine_motion.benchmarks.tracks.scoring.tap_scores`."""
        return tap_scores(video, tracks, self.queries)

    def _files(self) -> list[Path]:
        root = self.place()
        if root.is_file():
            return [root]
        found = sorted(root.rglob(_FILES[self.subset]))
        if not found:
            raise BenchmarkError(
                f"{root}: holds no {_FILES[self.subset]}, which is what TAP-Vid {self.subset} is called; give the "
                "folder of the file, or the file itself"
            )
        _check_set(found, alone=self.subset in ("davis", "rgb_stacking"))
        return found


def tap_video(
    name: str,
    entry: dict[str, Any],
    mode: QueryMode,
    size: tuple[int, int],
    source: str,
    full_resolution: bool = False,
) -> TrackVideo:
    """A video of TAP-Vid.

    Args:
        name: of it.
        entry: ``video``, ``points`` and ``occluded`` as in the files; left as it is.
        mode: from where points are followed.
        size: ``(H, W)`` at which it is scored.
        source: file and video, for messages.
        full_resolution: leave the frames as they are.

    Raises:
        BenchmarkError: something is missing or the shapes do not fit together.
    """
    pictures = _pictures(entry, source)
    points, occluded = (_table(entry, key, source) for key in ("points", "occluded"))
    if points.shape != (*occluded.shape, 2) or occluded.ndim != 2 or occluded.shape[1] != len(pictures):
        raise BenchmarkError(
            f"{source}: {len(pictures)} frames, points {points.shape} and occluded {occluded.shape} do not fit "
            "together; they must be (N, T, 2) and (N, T)"
        )
    visible = torch.from_numpy(occluded == 0).T.contiguous()
    raster = torch.from_numpy(points).transpose(0, 1)
    if not (raster[visible].abs() <= 2).all():
        raise BenchmarkError(f"{source}: has places beyond 2; TAP-Vid's are shares of the frame, 0 to 1")
    xy = raster * torch.tensor([size[1], size[0]]) - 0.5
    frames, asked = queries(visible, mode, STRIDE)
    return TrackVideo(
        name=name,
        size=size,
        frames=_reader(pictures, None if full_resolution else size, source),
        xy=xy,
        visible=visible,
        # The metric takes no notice of the place of a hidden point.
        valid=visible,
        queries=ask(frames, asked, xy),
        points=asked,
        backward=mode == "strided",
    )


def _field(entry: Any, key: str, source: str) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise BenchmarkError(f"{source}: has no {key!r}; a video of TAP-Vid has video, points and occluded")
    return entry[key]


def _pictures(entry: Any, source: str) -> Sequence[Any] | NDArray[Any]:
    pictures = _field(entry, "video", source)
    listed = isinstance(pictures, (list, tuple)) or (isinstance(pictures, np.ndarray) and pictures.ndim > 0)
    if not listed or not len(pictures):
        raise BenchmarkError(f"{source}: its video holds no frame; it must be uint8 (T, H, W, 3) or a list of JPEGs")
    # The others are looked at when they are needed, for most are of the kind of the first.
    _pixels(pictures[0], f"{source}: frame 0")
    return pictures


def _table(entry: Any, key: str, source: str) -> NDArray[np.float32]:
    """A copy; ``entry`` is left as it is."""
    try:
        table = np.array(_field(entry, key, source))
    except ValueError:  # lists of unequal lengths
        table = np.empty(0, object)
    if table.dtype.kind not in "biuf":
        raise BenchmarkError(f"{source}: {key!r} holds no table of numbers; get the file again")
    # Too large for the type is infinite, which is refused where the point is seen.
    with np.errstate(over="ignore", invalid="ignore"):
        return table.astype(np.float32)


def _check_set(files: Sequence[Path], alone: bool) -> None:
    """Refuse files of which some hold the videos of others: they would be scored twice.

    Args:
        files: that were found.
        alone: a set of this kind is one file.

    Raises:
        BenchmarkError: there are several of one set.
    """
    by_number: dict[str, Path] = {}
    for path in files:
        shard = _SHARD.fullmatch(path.stem)
        other = by_number.setdefault("" if alone else str(int(shard[1])) if shard else path.stem, path)
        if other != path:
            raise BenchmarkError(
                f"{path}: holds videos of the same set as {other}; remove the one that is stale, or give one file as "
                "--data.root"
            )
    counts = {int(shard[2]): path for path in files if (shard := _SHARD.fullmatch(path.stem))}
    if len(counts) > 1:
        one, another = list(counts.values())[:2]
        raise BenchmarkError(f"{another}: is of a set of another number of files than {one}; remove the stale ones")


def _absent(files: Sequence[Path]) -> int:
    """How many files there should be besides some, as the names of shards say."""
    counts = [int(found[2]) for path in files if (found := _SHARD.fullmatch(path.stem))]
    return max(0, max(counts, default=0) - len(counts))


def _entries(path: Path) -> Iterable[tuple[str, Any]]:
    content = read_pickle(path)
    if isinstance(content, dict):
        # In one line, wherever a name is shown.
        return [(" ".join(str(name).split()), entry) for name, entry in content.items()]
    if isinstance(content, list):
        # Names have to differ between the files of a set, too.
        return [(f"{path.stem}/{number:03d}", entry) for number, entry in enumerate(content)]
    raise BenchmarkError(f"{path}: holds {type(content).__name__}, not the videos of TAP-Vid; take the official file")


def _reader(pictures: Any, size: tuple[int, int] | None, source: str) -> Callable[[], Iterator[Tensor]]:
    def read() -> Iterator[Tensor]:
        own: tuple[int, ...] | None = None
        for number, picture in enumerate(pictures):
            pixels = _pixels(picture, f"{source}: frame {number}")
            own = own or pixels.shape
            if size is None and pixels.shape != own:
                raise BenchmarkError(f"{source}: frame {number} has another size than the first; get the file again")
            if size is not None and pixels.shape[:2] != size:
                small = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.LANCZOS)
                pixels = np.asarray(small)
            yield torch.tensor(pixels).permute(2, 0, 1).contiguous()

    return read


def _pixels(picture: Any, source: str) -> NDArray[np.uint8]:
    """``(H, W, 3)`` of an array or of the bytes of a JPEG file."""
    if isinstance(picture, bytes):
        try:
            with Image.open(BytesIO(picture), formats=("JPEG",)) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise BenchmarkError(f"{source}: its JPEG cannot be read; get the file again") from error
    if not isinstance(picture, np.ndarray):
        raise BenchmarkError(f"{source}: {type(picture).__name__}; it must be uint8 (H, W, 3) or a JPEG")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise BenchmarkError(f"{source}: {picture.dtype} of {picture.shape}; it must be uint8 (H, W, 3) or a JPEG")
    return picture
