"""All measurements, in the order in which they run."""

from __future__ import annotations

from tests.bench import (
    attention,
    bf16_epe,
    correlation,
    data_module,
    denormals,
    early_stop,
    gpu,
    labels_per_second,
    long_video,
    rendering,
    stored_bytes,
    tracks,
    training_step,
)
from tests.bench.runner import Measurement

MEASUREMENTS = {
    "labels_per_second": Measurement(labels_per_second.measure, 100),
    "early_stop": Measurement(early_stop.measure, 110),
    "denormals": Measurement(denormals.measure, 40),
    "training_step": Measurement(training_step.measure, 50),
    "stored_bytes": Measurement(stored_bytes.measure, 5),
    "data_module": Measurement(data_module.measure, 45),
    "correlation": Measurement(correlation.measure, 160),
    "long_video": Measurement(long_video.measure, 45),
    "tracks": Measurement(tracks.measure, 150, material=False),
    "attention": Measurement(attention.measure, 60, material=False),
    "rendering": Measurement(rendering.measure, 40, material=False),
    "bf16_epe": Measurement(bf16_epe.measure, 5),
    "gpu": Measurement(gpu.measure, 60),
}
