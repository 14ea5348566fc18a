from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.ablation.track_domains import Score, main, table


def _score(domain: str, seed: int, *after: float, decision: str = "improved", **known: tuple[float, float]) -> Score:
    """Two videos that stood at 50 and 70 before, and at 40 without motion."""
    before = (50.0, 70.0)
    videos = {f"{domain}_{n}": (old, new, 40.0) for n, (old, new) in enumerate(zip(before, after, strict=True))}
    return Score(domain, seed, decision, videos, 3.0, known, 60.0, 19.5, 12)


def test_a_video_is_averaged_over_seeds_before_the_worst_is_named() -> None:
    # Changes of fog: video 0 +3 and -1, video 1 +2 and +4; of night: +1 and 0.
    scores = [
        _score("fog", 0, 53, 72, original=(0.0, 50.0), last=(2.0, 60.0), **{"50% of last": (1.0, 40.0)}),
        _score("fog", 1, 49, 74),
        _score("night", 0, 51, 70, decision="kept"),
    ]
    lines = table(scores).splitlines()
    assert lines[2] == "| fog | 2 | 40.0 | 60.0 | 62.0 | +2.00 | +2.50, +1.50 | +1.00 | -1.00 | 2 | 0.50 | -1.00 |"
    assert lines[3] == "| night | 1 | 40.0 | 60.0 | 60.5 | +0.50 | +0.50 | +0.00 | +0.00 | 0 |  |  |"
    # Seed 0 over both domains: (2.5 + 0.5) / 2.
    assert lines[4] == "| mean | 3 | 40.0 | 60.0 | 61.5 | +1.50 | +1.50, +1.50 | +0.00 | -1.00 | 2 | 0.50 | -1.00 |"


def test_a_score_comes_back_from_its_file() -> None:
    score = _score("fog", 0, 53, 72, original=(0.0, 50.0), last=(2.0, 60.0))
    again = Score(**json.loads(json.dumps(asdict(score))))
    assert again.changes == pytest.approx({"fog_0": 3, "fog_1": 2})
    assert table([again]) == table([score])
    # The whole way may not be taken, so there is nothing to rank but the original.
    assert table([score]).splitlines()[2].endswith("| 1.00 |  |")


def test_what_was_made_by_another_plan_is_not_mixed_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = tmp_path / "fog_0" / "score.json"
    note.parent.mkdir()
    note.write_text(json.dumps(asdict(_score("fog", 0, 53, 72))))
    call = ["--domains", "fog", "--seeds", "0", "--out", str(tmp_path)]
    assert main(call) == 0
    assert "+2.50" in capsys.readouterr().out
    for other in (["--minutes", "30"], ["--clips", "6"]):
        with pytest.raises(SystemExit, match="2"):
            main([*call, *other])
        assert "score.json has --minutes 19.5 --clips 12: say so, or set another --out" in capsys.readouterr().err
