"""``make motionfit``: all steps of MotionFit on the made action set, with what they are compared with, as one table.

Motion is the class and textures are random, so a frame tells nothing: 40 videos with labels, 400 without, 160 to test
on. All is done by the commands of the package with ``configs/motionfit/small/``; what is finished is not repeated.
``make motionfit-seeds`` has three seeds.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from refine_motion.benchmarks.synthetic.actions import CLASSES, ActionSet, write_actions
from refine_motion.cli.main import main as command
from refine_motion.files import replacing
from refine_motion.metrics.clusters import cluster_metrics
from refine_motion.motionfit.label_store import read_labels, write_labels
from refine_motion.motionfit.trained import load_trained
from refine_motion.video.index import build_index

CONFIGS = Path(__file__).parents[2] / "configs" / "motionfit" / "small"
SHUFFLED = "shuffled"
# Fixed before the first run, in points above training from scratch: what MotionFit must reach, and what shuffled labels
# must not exceed.
WANTED, NOTHING = 8.0, 2.0
LONG_STEPS = 1700


@dataclass(frozen=True)
class Row:
    """One way to train a student.

    Attributes:
        title: for the table.
        teacher: name of the one that labels, of :data:`TEACHERS`; empty where there is none.
        kind: of the labels.
        strides: of the student; ``None`` for those of its configuration.
        shuffled: labels are dealt out at random.
    """

    title: str
    teacher: str = ""
    kind: str = "clusters"
    strides: str | None = None
    shuffled: bool = False


# Options of the teachers. All see as many clips a step.
TEACHERS = {
    "flow": [],
    "flow_single": ["--data.init_args.clips", "1", "--data.init_args.batch_size", "32"],
    "rgb": ["--data.init_args.clip.input", "rgb"],
}
# From scratch with as many steps as a student and its fine-tuning have together; the better of the two is the baseline.
LONG = "scratch_long"
ROWS = {
    "scratch": Row("from scratch"),
    LONG: Row("from scratch, as many steps as the others in all"),
    "rgb": Row("RGB teacher, clusters", "rgb"),
    "rgb_posterior": Row("RGB teacher, its classes (self-training)", "rgb", "posteriors"),
    "posterior": Row("flow teacher, its classes (posteriors)", "flow", "posteriors"),
    "single_clip": Row("MotionFit, single-clip loss", "flow_single"),
    "multi_clip": Row("MotionFit, multi-clip loss", "flow"),
    "one_stride": Row("MotionFit, multi-clip loss, one stride", "flow", strides="[1]"),
    SHUFFLED: Row("MotionFit, labels shuffled", "flow", shuffled=True),
}


@dataclass(frozen=True)
class Place:
    """Where a seed of the comparison is.

    Attributes:
        root: of all of it.
        seed: of the trainings.
    """

    root: Path
    seed: int

    @property
    def actions(self) -> Path:
        """The made videos."""
        return self.root / "actions"

    @property
    def cache(self) -> list[str]:
        """Option of the shared folder of index and flow."""
        return ["--data.init_args.cache", str(self.root / "cache")]

    def folder(self, name: str) -> Path:
        """Of one step."""
        return self.root / f"seed_{self.seed}" / name

    def teach(self, name: str) -> None:
        """Step 1."""
        self._fit("teacher", f"teacher_{name}", [*self._benchmark(), *TEACHERS[name]])

    def label(self, teacher: str, kind: str) -> None:
        """Step 2."""
        folder = self.folder(f"labels_{teacher}_{kind}")
        weights = self.folder(f"teacher_{teacher}") / "weights.safetensors"
        _run(
            *("label", "--config", str(CONFIGS / "pseudo_labels.yaml"), "--workdir", str(folder)),
            *("--videos", str(self.actions / "unlabelled"), "--teacher", str(weights)),
            *("--cache", str(self.root / "cache"), "--label.kind", kind, "--label.clusters.seed", str(self.seed)),
        )

    def learn(self, name: str) -> None:
        """Steps 3 and 4: the student, and its test on the target collection."""
        row = ROWS[name]
        if not row.teacher:
            # With the whole rate: there is no body to be kept.
            steps = ["--trainer.max_steps", str(LONG_STEPS)] if name == LONG else []
            self._fit("finetune", f"target_{name}", [*self._benchmark(), "--model.weights", "null", *steps])
            return
        labels = self.folder(f"labels_{row.teacher}_{row.kind}")
        if row.shuffled:
            labels = self._shuffled(labels)
        student = ["--data.init_args.videos", str(self.actions / "unlabelled"), "--data.init_args.labels", str(labels)]
        if row.strides is not None:
            student += ["--data.init_args.clip.strides", row.strides]
        self._fit("student", f"student_{name}", student)
        weights = self.folder(f"student_{name}") / "weights.safetensors"
        self._fit("finetune", f"target_{name}", [*self._benchmark(), "--model.weights", str(weights)])

    def agreement(self, row: Row) -> dict[str, float]:
        """How pseudo-labels agree with the true classes."""
        table = read_labels(self.folder(f"labels_{row.teacher}_{row.kind}"))
        with (self.actions / "unlabelled.csv").open(encoding="utf-8") as file:
            truth = {line["video"]: CLASSES.index(line["class"]) for line in csv.DictReader(file)}
        metric = cluster_metrics(len(table.classes), len(CLASSES))
        ids = torch.tensor([row.label for row in table.rows])
        metric.update(ids, torch.tensor([truth[Path(row.path).name] for row in table.rows]))
        return {name: value.item() for name, value in metric.compute().items()}

    def top1(self, name: str) -> float:
        """Of the test videos, per cent."""
        return json.loads((self.folder(f"target_{name}") / "scores.json").read_text())["scores"]["top1"]

    def _benchmark(self) -> list[str]:
        return ["--data.init_args.benchmark.init_args.root", str(self.actions)]

    def _fit(self, config: str, name: str, more: Iterable[str]) -> None:
        # What is finished with the same settings is known to the command, and refused where they are others.
        _run(
            *("fit", "--config", str(CONFIGS / f"{config}.yaml"), "--workdir", str(self.folder(name))),
            *("--seed_everything", str(self.seed), *self.cache, *more),
        )

    def _shuffled(self, labels: Path) -> Path:
        """The same labels, of other cells: the control."""
        folder = self.folder("labels_shuffled")
        table = read_labels(labels)
        ids = [row.label for row in table.rows]
        random.Random(self.seed).shuffle(ids)
        rows = tuple(replace(row, label=label) for row, label in zip(table.rows, ids, strict=True))
        write_labels(folder, replace(table, rows=rows))
        return folder


def _run(*words: str) -> None:
    print("refine-motion", *words, flush=True)
    if command(list(words)):
        raise SystemExit(f"stopped at: refine-motion {' '.join(words)}")


def _fill(root: Path, teacher: Path, part: int, parts: int) -> None:
    """Flow of a share of the unlabelled videos, so that several processes make it together."""
    clip = load_trained(teacher).clip
    videos = build_index(root / "actions" / "unlabelled", root / "cache" / "index").videos
    clip.reader(root / "cache" / "flow").prepare(videos[part::parts], clip.strides, torch.device("cpu"))


def _start() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _timed(title: str, work: Callable[..., None], *arguments: object) -> tuple[str, float]:
    begin = time.monotonic()
    work(*arguments)
    return title, time.monotonic() - begin


def everything(root: Path, seeds: list[int], processes: int) -> dict[str, float]:
    """All steps that are not finished, several at once.

    Returns:
        Seconds of each kind of step, of all processes.
    """
    places = [Place(root, seed) for seed in seeds]
    seconds: dict[str, float] = {}
    begin = time.monotonic()
    write_actions(root / "actions", ActionSet())
    seconds["render"] = time.monotonic() - begin
    weights = places[0].folder("teacher_flow") / "weights.safetensors"
    kinds = {(row.teacher, row.kind) for row in ROWS.values() if row.teacher}
    steps: list[list[tuple[Any, ...]]] = [
        [("teachers", place.teach, name) for name in TEACHERS for place in places],
        [("flow", _fill, root, weights, part, processes) for part in range(processes)],
        [("labels", place.label, *kind) for kind in sorted(kinds) for place in places],
        [("students and targets", place.learn, name) for name in ROWS for place in places],
    ]
    # Not forked: the threads of torch do not survive that.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start) as pool:
        for tasks in steps:
            for done in as_completed([pool.submit(_timed, *task) for task in tasks]):
                title, took = done.result()
                seconds[title] = seconds.get(title, 0.0) + took
    return seconds


def table(root: Path, seeds: list[int]) -> str:
    """Means over the seeds, and by how much each is above the better of both ways to train from scratch."""
    places = [Place(root, seed) for seed in seeds]
    scratch = _scratch(places)
    lines = [
        "| student learnt from | top 1 | by seed | above scratch | NMI | purity |",
        "|---" * 6 + "|",
    ]
    for name, row in ROWS.items():
        found = [place.top1(name) for place in places]
        above = mean(a - b for a, b in zip(found, scratch, strict=True))
        agreed = "| | |"
        if row.teacher and not row.shuffled:
            values = [place.agreement(row) for place in places]
            agreed = f"| {mean(v['nmi'] for v in values):.2f} | {mean(v['purity'] for v in values):.2f} |"
        by_seed = ", ".join(f"{value:.1f}" for value in found)
        lines.append(f"| {row.title} | {mean(found):.1f} % | {by_seed} | {above:+.1f} {agreed}")
    return "\n".join(lines) + "\n"


def _scratch(places: list[Place]) -> list[float]:
    """Of each seed, the better of both ways to train without other videos."""
    return [max(place.top1(name) for name in ("scratch", LONG)) for place in places]


def verdict(root: Path, seeds: list[int]) -> tuple[bool, str]:
    """Whether what was fixed before the first run holds, and in words."""
    places = [Place(root, seed) for seed in seeds]
    gains = {
        name: mean(place.top1(name) - base for place, base in zip(places, _scratch(places), strict=True))
        for name in ("multi_clip", SHUFFLED)
    }
    holds = gains["multi_clip"] >= WANTED and gains[SHUFFLED] <= NOTHING
    told = (
        f"MotionFit {gains['multi_clip']:+.1f} points (wanted {WANTED:+.1f}), shuffled labels {gains[SHUFFLED]:+.1f} "
        f"(at most {NOTHING:+.1f})"
    )
    return holds, f"{'holds' if holds else 'FAILS'}: {told}"


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 where the table does not show what was asked of it; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m tests.ablation.motionfit", description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="of one thread each (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/motionfit_small"))
    chosen = parser.parse_args(arguments)
    begin = time.monotonic()
    seconds = everything(chosen.out, chosen.seeds, chosen.processes)
    found = table(chosen.out, chosen.seeds)
    with replacing(chosen.out / "table.md") as partial:
        partial.write_text(found, encoding="utf-8")
    print(found)
    spent = ", ".join(f"{title} {value / 60:.1f}" for title, value in seconds.items())
    print(f"{(time.monotonic() - begin) / 60:.1f} minutes; of all processes together: {spent}")
    holds, told = verdict(chosen.out, chosen.seeds)
    print(told)
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
