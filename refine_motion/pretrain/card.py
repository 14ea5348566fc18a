"""What pre-trained weights are worth on scenes and pairs that they have not seen, and the model card that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from refine_motion.benchmarks.synthetic.domains import DOMAINS
from refine_motion.benchmarks.synthetic.stream import FlowPairs
from refine_motion.errors import ConfigError
from refine_motion.metrics.flow import EndPointError
from refine_motion.models.base import FlowModel
from refine_motion.pretrain.datamodule import HELD_OUT_SEED


@dataclass(frozen=True)
class CardSettings:
    """What to measure.

    Attributes:
        pairs: folder of real pairs with true flow, in any layout that ``refine-motion evaluate flow`` takes.
        per_domain: procedural pairs of each domain.
        size: their ``(H, W)`` in pixels.
        max_speed: bound of their motion in pixels, as the renderer takes it: the fastest points stay far below.
        iters: iterations of the model.
    """

    pairs: str | None = None
    per_domain: int = 24
    size: tuple[int, int] = (256, 256)
    max_speed: float = 48.0
    iters: int = 12

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: a number is not positive.
        """
        if min(self.per_domain, *self.size, self.max_speed, self.iters) <= 0:
            raise ConfigError(f"card: numbers must be positive, got {self}")


def measure(model: FlowModel, settings: CardSettings) -> dict[str, Any]:
    """End-point errors over all pixels, hidden ones included, of the model and of zero flow.

    Args:
        model: in eval mode.
        settings: on what.

    Returns:
        ``domains`` (``source`` first) and ``real``: by name, ``pairs``, ``epe`` and ``zero_epe`` in pixels and their
        ``ratio``, and of domains the speed of the ``fastest`` point in pixels; ``real`` is empty where no real pairs
        were given.

    Raises:
        BenchmarkError: the real pairs are missing or cannot be read.
    """
    real = {} if settings.pairs is None else _real(model, settings.pairs, settings.iters)
    names = sorted(DOMAINS, key=lambda name: name != "source")
    return {"domains": {name: _domain(model, name, settings) for name in names}, "real": real}


def _domain(model: FlowModel, name: str, settings: CardSettings) -> dict[str, float]:
    device = next(model.parameters()).device
    pairs = FlowPairs(settings.per_domain, settings.size, settings.max_speed, HELD_OUT_SEED, name)
    epe, zero, fastest = EndPointError(), EndPointError(), 0.0
    for number in range(len(pairs)):
        pair = pairs[number]
        truth = pair["flow"]
        fastest = max(fastest, truth.norm(dim=0).max().item())
        a, b = (pair[key][None].to(device) for key in ("image_a", "image_b"))
        epe.update(model.flow(a, b, settings.iters)[0].cpu(), truth)
        zero.update(torch.zeros_like(truth), truth)
    return {**_row(len(pairs), epe.compute().item(), zero.compute().item()), "fastest": round(fastest, 1)}


def _real(model: FlowModel, folder: str, iters: int) -> dict[str, dict[str, float]]:
    # Here, because it wants libraries for pictures that a machine for training need not have.
    from refine_motion.benchmarks.estimate import ZeroFlow
    from refine_motion.benchmarks.flow_evaluation import evaluate_flow

    table = evaluate_flow(model, folder, against=ZeroFlow(), iters=iters, progress=False)
    return {row.name: _row(row.pairs, row.epe, row.epe_against or 0.0) for row in table.rows}


def _row(pairs: int, epe: float, zero: float) -> dict[str, float]:
    return {"pairs": pairs, "epe": round(epe, 4), "zero_epe": round(zero, 4), "ratio": round(epe / max(zero, 1e-9), 4)}


def model_card(weights: Path, facts: dict[str, Any], metrics: dict[str, Any], settings: CardSettings) -> str:
    """The card as Markdown.

    Args:
        weights: the file.
        facts: how it came about, from its header.
        metrics: what :func:`measure` gave.
        settings: how that was measured.
    """
    made = facts["settings"]
    parameters = f"{weights.stat().st_size / 1e6:.1f} MB, float16"
    height, width = settings.size
    sections = [
        f"# {made['network']}, pre-trained on procedural scenes",
        f"`{weights.name}` ({parameters}): weights of {made['network']} (RAFT, Teed and Deng, ECCV 2020, arXiv "
        "2003.12039; the code is this project's own) for dense optical flow between two frames, trained from nothing "
        "by this project. They load into the float32 model.",
        *training_section(
            facts,
            "RAFT's sequence loss over all pixels, those hidden in the second frame included",
            "RAFT's colours, mirroring and erased rectangles" if made["augment"] else "none",
        ),
        "## Metrics",
        "Mean end-point error in pixels over all pixels with known truth, hidden ones included, at "
        f"{settings.iters} iterations, of the file as saved; zero flow says that nothing moves. Procedural: "
        f"{settings.per_domain} pairs of {height}x{width} for each domain (`max_speed` {settings.max_speed:g}), from a "
        f"seed that training never takes ({HELD_OUT_SEED}). Ratio: EPE by that of zero flow; fastest: the largest true "
        "motion, in pixels.",
        _metrics([*metrics["domains"].items(), *((f"{name} (real)", row) for name, row in metrics["real"].items())]),
        "## Intended use",
        "A first model that needs no download: to try the tools out, and as the start of a refinement on your own "
        "videos (`--weights embedded`), whose result should be compared on true flow.",
        "## Limits",
        "It has never seen a real image. The table says where it is bad: the nearer the ratio is to 1, the less it is "
        "worth, and above 1 it is worse than saying that nothing moves. Expect little on motion beyond "
        "half of the largest `max_speed` above, on frames much larger than those of training, on "
        "large areas without texture, reflections, transparency, and thin structures. Weights trained on FlyingChairs "
        "and FlyingThings3D (`raft_small_C_T_V2`, a download) are far better on real video. No claim is made for uses "
        "in which a wrong motion does harm.",
    ]
    return "\n\n".join(sections) + "\n"


def training_section(facts: dict[str, Any], loss: str, augmentation: str) -> list[str]:
    """How a model was trained, as Markdown: its command, its settings and its stages.

    Args:
        facts: how it came about, from its header.
        loss: in words.
        augmentation: in words.
    """
    made = facts["settings"]
    stages = [
        f"| {stage['start']} | {stage['batch_size'] * made['processes']} | {stage['size'][0]}x{stage['size'][1]} | "
        f"{stage['max_speed']:g} px | {stage['iters']} |"
        for stage in made["stages"]
    ]
    return [
        "## Training",
        f"Data: an endless stream of procedural samples with exact motion (domain `{made['domain']}` of "
        "`refine_motion/benchmarks/synthetic/`), every sample a new scene, none used twice. Nothing was downloaded: no "
        "real image, no data set and no weights of others went in.",
        f"    {facts['command']}",
        table(
            ("", ""),
            [
                ("seed", made["seed"]),
                ("optimiser steps", facts["steps"]),
                ("samples seen", facts["samples"]),
                ("hours", facts["hours"]),
                ("hardware", "; then ".join(facts["hardware"])),
                ("finished", facts["date"]),
                ("optimiser", f"AdamW, one cycle to {made['learning_rate']:g}, {made['precision']}"),
                ("loss", loss),
                ("augmentation", augmentation),
            ],
        ),
        "\n".join(["| from step | batch | size | `max_speed` | iterations |", "|---|---|---|---|---|", *stages]),
    ]


def _metrics(rows: Sequence[tuple[str, dict[str, float]]]) -> str:
    cells = [
        (name, row["pairs"], *(f"{row[key]:.3f}" for key in ("epe", "zero_epe", "ratio")), row.get("fastest", ""))
        for name, row in rows
    ]
    return table(("pairs of", "n", "EPE", "EPE of zero flow", "ratio", "fastest"), cells)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
