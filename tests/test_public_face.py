from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "first",
    [
        "",
        pytest.param("import refine_motion.refine.losses", marks=pytest.mark.slow),
        pytest.param("from refine_motion.refine.api import refine", marks=pytest.mark.slow),
        pytest.param("rm.refine", marks=pytest.mark.slow),
    ],
)
def test_refine_is_function_and_package_whatever_came_first(first: str) -> None:
    code = f"""
import refine_motion as rm
{first}
import refine_motion.refine.losses as losses
from refine_motion import evaluate_flow, label, load_model, refine
assert callable(rm.refine) and callable(refine) and rm.refine is refine
assert losses.sequence_loss and refine.losses is losses
from refine_motion.errors import ConfigError
try:
    rm.refine("absent", None, "absent.pth", crop=(10, 10))
except Exception as error:
    assert "absent.pth" in str(error), error
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_alone_imports_neither_torch_nor_lightning() -> None:
    code = "import sys, refine_motion; assert not {'torch', 'lightning', 'kornia'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
