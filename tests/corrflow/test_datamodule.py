from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from refine_motion.benchmarks.source_domain import ProceduralClips
from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.corrflow.datamodule import CorrFlowDataModule
from refine_motion.errors import ConfigError, VideoError

# Of the domain that is rendered fastest.
MADE = ProceduralClips("particles", 4.0)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of 40 frames at 24 a second, and one of 4."""
    folder = tmp_path_factory.mktemp("videos")
    for seed, frames in ((1, 40), (2, 4)):
        write_clip(folder, seed=seed, frames=frames, size=(64, 80), max_speed=3.0, pairs=0)
    return folder / "videos"


def data(videos: Path | None, tmp_path: Path, **settings: Any) -> CorrFlowDataModule:
    found = CorrFlowDataModule(
        None if videos is None else str(videos),
        **{"size": (32, 48), "batch_size": 2, "num_workers": 0, "cache": str(tmp_path / "index"), **settings},
    )
    found.prepare_data()
    found.setup()
    return found


def test_clips_of_videos(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # At 12 frames a second: 6 whole windows in the long video, none in the short one.
    found = data(videos, tmp_path, fps=12.0, held_out=1)
    batches = list(itertools.islice(found.train_dataloader(), 3))
    assert batches[0]["frames"].shape == (2, 3, 3, 32, 48)
    assert batches[0]["frames"].dtype == torch.uint8
    assert [batch["number"].tolist() for batch in batches] == [[0, 1], [2, 3], [4, 5]]
    (held,) = found.val_dataloader()
    assert [batch["frames"].shape for batch in held] == [(1, 3, 3, 32, 48)]


def test_what_is_held_out_is_never_trained_on(videos: Path, tmp_path: Path) -> None:
    found = data(videos, tmp_path, fps=12.0, held_out=1)
    (held,) = found._held_out()
    assert held.frames == (30, 32, 34)
    training: Any = found._training()
    used = {frame for n in range(100) for frame in training.window(n).frames}
    assert used
    assert max(used) < 30


def test_at_most_a_fifth_is_held_out(videos: Path, tmp_path: Path) -> None:
    assert len(data(videos, tmp_path, fps=12.0, held_out=32)._held_out()) == 1
    assert data(videos, tmp_path, fps=6.0, held_out=32).val_dataloader() == []


def test_made_clips(tmp_path: Path) -> None:
    found = data(None, tmp_path, made=MADE, held_out=3)
    first, second = itertools.islice(found.train_dataloader(), 2)
    assert first["frames"].shape == (2, 3, 3, 32, 48)
    assert not torch.equal(first["frames"][0], second["frames"][0])
    (held,) = found.val_dataloader()
    kept = torch.cat([batch["frames"] for batch in held])
    assert len(kept) == 3
    other = data(None, tmp_path, made=MADE, held_out=3, seed=9)
    assert torch.equal(torch.cat([batch["frames"] for batch in other.val_dataloader()[0]]), kept)
    assert not torch.equal(next(iter(other.train_dataloader()))["frames"], first["frames"])


def test_settings_tell_one_training_from_another(videos: Path, tmp_path: Path) -> None:
    mine = data(videos, tmp_path)
    assert data(videos, tmp_path, num_workers=1).settings() == mine.settings()
    alike = [data(videos, tmp_path, **one).settings() for one in ({"fps": 12.0}, {"seed": 1}, {"size": (48, 32)})]
    (single,) = videos.glob("*40*") if list(videos.glob("*40*")) else (sorted(videos.iterdir())[0],)
    alike += [data(single, tmp_path).settings(), data(None, tmp_path, made=MADE).settings()]
    assert mine.settings() not in alike


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"frames": 1}, "frames must be at least 2"),
        ({"fps": 0.0}, "fps positive"),
        ({"size": (2, 64)}, "size at least 4"),
        ({"batch_size": 0}, "batch_size"),
        ({"held_out": -1}, "held_out"),
        ({"made": MADE}, "exclude each other"),
    ],
)
def test_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        CorrFlowDataModule(**{"videos": "videos", **wrong})


def test_no_videos(tmp_path: Path, videos: Path) -> None:
    with pytest.raises(ConfigError, match=r"set data\.videos"):
        data(None, tmp_path)
    with pytest.raises(VideoError, match="no video has 60 frames of one shot at 6 a second"):
        data(videos, tmp_path, frames=60)


@pytest.mark.parametrize("wrong", [{"domain": "mars"}, {"max_speed": 0.0}])
def test_made_clips_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ProceduralClips(**wrong)


def test_held_out_scenes_cannot_be_trained_on() -> None:
    from refine_motion.training.stream import HELD_OUT_SEED

    with pytest.raises(ConfigError, match="held-out scenes"):
        MADE.training(3, (32, 48), HELD_OUT_SEED)
