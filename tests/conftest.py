"""Fixtures that find the reference outputs and the real material, or skip with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_flush_denormal(True)


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = os.environ.get("REFINE_MOTION_SHARED")
    if not folder:
        pytest.skip("REFINE_MOTION_SHARED is not set: the folder with reference outputs and real videos")
    return Path(folder)


@pytest.fixture(scope="session")
def reference(shared: Path) -> Path:
    return shared / "reference"


@pytest.fixture(scope="session")
def real_data(shared: Path) -> Path:
    return shared / "data"
