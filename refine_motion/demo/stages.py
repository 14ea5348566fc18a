"""What demonstrations of any task share: their folder, stages that are timed, and the rendering of their clips."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.demo.plan import MadeClips


@dataclass(frozen=True)
class DemoFolder:
    """Where the parts of a demonstration lie below its folder."""

    root: Path

    @property
    def videos(self) -> Path:
        """What is learnt from: video files alone."""
        return self.root / "your_videos" / "videos"

    @property
    def held_out(self) -> Path:
        """Videos and truth to be judged by."""
        return self.root / "held_out"

    @property
    def truth(self) -> Path:
        """Frame pairs with true flow."""
        return self.held_out / "truth"

    @property
    def run(self) -> Path:
        """Labels, checkpoints, logs and weights."""
        return self.root / "refined"


class Stages:
    """Stages of a demonstration, each announced as it begins and timed.

    Args:
        say: told the title of each, and a sentence on what it does.

    Attributes:
        seconds: time of each by its title, in order.
    """

    def __init__(self, say: Callable[[str, str], None]):
        self.say = say
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, title: str, sentence: str) -> Iterator[None]:
        """One stage."""
        self.say(title, sentence)
        start = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - start


def render(plan: MadeClips, folder: DemoFolder, stage: Stages, pairs: int) -> None:
    """The first stage: clips to learn from as video files alone, and others with what they are judged by.

    Args:
        plan: what is shown.
        folder: where they go.
        stage: announces it.
        pairs: frame pairs with true flow of each held-out clip.
    """
    about = (
        f"{plan.clips} clips of the domain {plan.domain} as mp4 files, and {plan.held_out} others with exact truth, "
        "which are kept apart until the end."
    )
    with stage("Render", about), Progress(transient=True) as progress:
        task = progress.add_task("rendering", total=plan.clips + plan.held_out)
        for place, seeds, with_truth in (
            (folder.videos.parent, plan.learnt_seeds, 0),
            (folder.held_out, plan.held_out_seeds, pairs),
        ):
            for seed in seeds:
                write_clip(place, seed, plan.frames, plan.size, pairs=with_truth, name=plan.domain)
                progress.advance(task)
