from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from refine_motion.cli.main import main
from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.video.index import build_index
from refine_motion.video.palette import read_mask, write_mask


@pytest.fixture
def video(clip_folder: Path) -> Path:
    return next((clip_folder / "videos").iterdir())


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save_weights(build_model("corrflow_small"), tmp_path_factory.mktemp("weights") / "corrflow.safetensors")


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """Objects 2 and 5 of the first frame, and a void strip."""
    ids = torch.zeros(72, 96, dtype=torch.uint8)
    ids[10:40, 10:50], ids[45:65, 40:80], ids[70:] = 2, 5, 255
    write_mask(tmp_path / "first.png", ids)
    return tmp_path / "first.png"


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    assert main(["propagate", *map(str, args)]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.count("\n") == 1
    return err


def test_a_mask_by_an_encoder(
    video: Path, mask: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    settings = ["--radius", "3", "--top-k", "10", "--temperature", "0.2", "--memory", "mast"]
    args = ["propagate", str(video), "--mask", str(mask), "--weights", str(encoder), "--out", str(out), *settings]
    assert main(args) == 0
    assert sorted(path.name for path in out.iterdir()) == [*(f"{n:05d}.png" for n in range(9)), "overlay.mp4"]
    first = read_mask(out / "00000.png")
    assert torch.equal(first, torch.where(read_mask(mask) == 255, 0, read_mask(mask)))
    assert set(read_mask(out / "00008.png").unique().tolist()) <= {0, 2, 5}
    told = capsys.readouterr().out
    assert "masks of 9 frames, 2 objects" in told
    assert (
        "by corrflow_small: references t-1, t-3, t-5, 0, 5; radius 3 cells of 4 px, top-k 10, temperature 0.2, soft "
        "labels, input rgb, compat fixed"
    ) in told
    overlay = build_index(out / "overlay.mp4", progress=False).videos[0]
    assert (overlay.frames, overlay.width, overlay.height) == (9, 96, 72)


def test_the_published_way(
    video: Path, mask: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["propagate", str(video), "--mask", str(mask), "--weights", str(encoder), "--out", str(tmp_path / "out")]
    assert (
        main([*args, "--memory", "previous", "--hard", "--compat", "official", "--inputs", "grey", "--no-overlay"]) == 0
    )
    told = capsys.readouterr().out
    assert "references t-1; radius 6" in told
    assert "hard labels, input grey, compat official" in told
    assert not (tmp_path / "out/overlay.mp4").exists()


def test_a_mask_by_flow_and_by_nothing(video: Path, mask: Path, untrained: Path, tmp_path: Path) -> None:
    call = ["propagate", str(video), "--mask", str(mask), "--no-overlay"]
    assert main([*call, "--weights", str(untrained), "--out", str(tmp_path / "flow")]) == 0
    assert main([*call, "--baseline", "identity", "--out", str(tmp_path / "still")]) == 0
    still, flow = (read_mask(tmp_path / name / "00008.png") for name in ("still", "flow"))
    assert torch.equal(still, read_mask(tmp_path / "still/00000.png"))
    assert not torch.equal(flow, still)


def test_points(video: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.csv").write_text("point,frame,x,y\nnose,0,10,20\ntail,0,50.5,30\n")
    args = ["propagate", str(video), "--points", str(tmp_path / "p.csv"), "--out", str(tmp_path / "out")]
    assert main([*args, "--weights", str(encoder)]) == 0
    with (tmp_path / "out/points.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"point": "nose", "frame": "0", "x": "10", "y": "20"}
    assert {(row["point"], row["frame"]) for row in rows} == {(p, str(n)) for p in ("nose", "tail") for n in range(9)}
    assert "2 points through 9 frames" in capsys.readouterr().out
    assert build_index(tmp_path / "out/overlay.mp4", progress=False).videos[0].frames == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,x,y\n0,96,20\n", "p.csv: point 0 at frame 0, x 96, y 20 lies outside the frames, which are 96 x 72"),
        ("point,frame,x,y\na,0,5,20\nb,3,5,20\n", "p.csv: point b is in frame 3; points are carried from frame 0"),
        ("frame,x\n0,5\n", "p.csv: no column y"),
    ],
)
def test_points_that_cannot_be(
    video: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "p.csv").write_text(text)
    told = refused(capsys, video, "--points", tmp_path / "p.csv", "--weights", encoder, "--out", tmp_path / "out")
    assert message in told
    assert not (tmp_path / "out").exists()


def test_masks_that_cannot_be(video: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(name: str) -> str:
        return refused(capsys, video, "--mask", tmp_path / name, "--weights", encoder, "--out", tmp_path / "out")

    assert "absent.png: cannot be read as a mask" in told("absent.png")
    write_mask(tmp_path / "small.png", torch.ones(72, 95, dtype=torch.uint8))
    assert f"small.png: 95 x 72 pixels, but {video} has 96 x 72" in told("small.png")
    write_mask(tmp_path / "empty.png", torch.zeros(72, 96, dtype=torch.uint8))
    assert "empty.png: has no object" in told("empty.png")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "no weights given"),
        (["--weights", "absent.pth"], "absent.pth"),
        (["--weights", "FLOW", "--radius", "3"], "radius 3: 'raft_small' is a model of optical flow"),
        (["--weights", "ENCODER", "--radius", "-1"], "radius must be at least 0"),
        (["--weights", "ENCODER", "--baseline", "identity"], "--baseline identity takes no model"),
        (["--baseline", "identity", "--hard"], "--baseline identity takes no model and no settings"),
    ],
)
def test_wrong_calls(
    video: Path,
    mask: Path,
    encoder: Path,
    untrained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    message: str,
) -> None:
    given = [{"FLOW": str(untrained), "ENCODER": str(encoder)}.get(word, word) for word in args]
    assert message in refused(capsys, video, "--mask", mask, "--out", tmp_path / "out", *given)


def test_hard_points(video: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.csv").write_text("frame,x,y\n0,5,5\n")
    call = [video, "--points", tmp_path / "p.csv", "--weights", encoder, "--hard", "--out", tmp_path / "out"]
    assert "hard labels (--hard, propagation.soft false) are for masks" in refused(capsys, *call)


@pytest.mark.parametrize("both", [True, False])
def test_a_mask_or_points(video: Path, mask: Path, both: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["propagate", str(video), *(["--mask", str(mask), "--points", "p.csv"] if both else [])])
    assert stop.value.code == 2
    assert "--points" in capsys.readouterr().err


def test_what_is_read_stays(
    video: Path, mask: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, weights = tmp_path / "out", ["--weights", encoder]
    out.mkdir()
    own = out / "00003.png"
    own.write_bytes(mask.read_bytes())
    assert "00003.png: would be written over" in refused(capsys, video, "--mask", own, *weights, "--out", out)
    own.rename(out / "00009.png")
    told = refused(capsys, video, "--mask", mask, *weights, "--out", out)
    assert "00009.png: is not of this video and would lie among its masks" in told
    copy = out / "overlay.mp4"
    copy.write_bytes(video.read_bytes())
    assert "overlay.mp4: would be written over" in refused(capsys, copy, "--mask", mask, *weights, "--out", out)
    # Masks of an earlier run are replaced.
    (out / "00009.png").unlink()
    for _ in range(2):
        assert main(["propagate", str(video), "--mask", str(mask), "--baseline", "identity", "--out", str(out)]) == 0
