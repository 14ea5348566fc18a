"""Weights of a network of clips together with what it looks at and which classes it tells apart."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from refine_motion.errors import ConfigError, WeightsError
from refine_motion.models.clip_models import build_clip_model, load_clip_weights
from refine_motion.models.r2plus1d import R2Plus1D
from refine_motion.models.weights import locate_weights, read_facts, write_state
from refine_motion.motionfit.clip_settings import ClipSettings
from refine_motion.motionfit.flow_cache import FlowSettings
from refine_motion.motionfit.readers import ClipReader
from refine_motion.motionfit.timeline import Footage

_KEY = "clips"


@dataclass(frozen=True)
class Trained:
    """A network and how to use it.

    Attributes:
        model: in eval mode on the CPU.
        clip: the clips that it was trained on.
        crop: ``(H, W)`` that it saw of them.
        classes: names by label.
        flow: key of the cache of the flow that it was trained on (:attr:`.flow_cache.FlowCache.key`), which names the
            flow model by its content; ``None`` where it saw colours, or where that is not known.
    """

    model: R2Plus1D
    clip: ClipSettings
    crop: tuple[int, int]
    classes: tuple[str, ...]
    flow: str | None = None

    def reader(self, cache: Path) -> ClipReader:
        """What reads clips as those that it was trained on.

        Args:
            cache: folder of the flow.

        Raises:
            ConfigError: the flow model is not the one that it learnt from, but another under the same name.
        """
        reader = self.clip.reader(cache)
        check_flow(self, reader)
        return reader


def save_trained(trained: Trained, path: str | Path, facts: dict[str, Any]) -> Path:
    """Write weights as safetensors that :func:`load_trained` reads.

    Args:
        trained: the network and how to use it.
        path: file to write, replaced in one step.
        facts: how it came about, as JSON can hold it.
    """
    use: dict[str, Any] = {"clip": asdict(trained.clip), "crop": list(trained.crop), "classes": list(trained.classes)}
    use["flow"] = trained.flow
    header = {"model": trained.model.name, "facts": facts | {_KEY: use | {"network": trained.model.name}}}
    return write_state(trained.model.state_dict(), path, header)


def load_trained(weights: str | Path) -> Trained:
    """Read what :func:`save_trained` has written.

    Raises:
        WeightsError: the file is missing or damaged, or does not tell how it is used.
    """
    path = locate_weights(weights)
    use = read_facts(path).get(_KEY)
    if use is None:
        raise WeightsError(
            f"{path}: does not tell what clips it was trained on; give weights of `refine-motion fit` with a "
            "configuration of configs/motionfit/"
        )
    try:
        clip = ClipSettings(
            **use["clip"]
            | {
                "footage": Footage(tuple(use["clip"]["footage"]["size"]), use["clip"]["footage"]["fps"]),
                "strides": tuple(use["clip"]["strides"]),
                "flow": FlowSettings(**use["clip"]["flow"]),
            }
        )
        classes, crop = tuple(use["classes"]), (int(use["crop"][0]), int(use["crop"][1]))
        model = build_clip_model(use["network"], clip.channels, len(classes), clip.flow.limit)
    except (LookupError, TypeError, ConfigError) as error:
        raise WeightsError(f"{path}: what it tells of its training is damaged ({error}); train it again") from error
    load_clip_weights(model, path)
    return Trained(model.eval(), clip, crop, classes, use.get("flow"))


def check_flow(trained: Trained, reader: ClipReader) -> None:
    """Refuse flow of another model than the one that a network learnt from.

    Raises:
        ConfigError: it is another, under the same name.
    """
    if trained.flow is not None and reader.settings().get("flow") != trained.flow:
        raise ConfigError(
            f"the flow model {trained.clip.flow.weights} is not the one that these weights were trained on, which was "
            "another under that name; put the old one back, or train again"
        )


def has_head(weights: str | Path, classes: tuple[str, ...]) -> bool:
    """Whether weights tell just these classes apart; those that do not say do not.

    Args:
        weights: a file of any kind.
        classes: names by label.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    use = read_facts(locate_weights(weights)).get(_KEY)
    return use is not None and tuple(use.get("classes", ())) == classes
