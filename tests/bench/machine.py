"""What the numbers depend on besides the code: the machine, and which version of the code it was."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from pathlib import Path

import torch

from tests.bench.child import ROOT


def machine(device: str) -> dict[str, str | int]:
    """Names and numbers of what computes."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "gpu": gpu,
        "device": device,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def code() -> str:
    """Digest of the sources of the package and of the measurements."""
    digest = hashlib.sha256()
    for folder in ("refine_motion", "tests/bench"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _cpu() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
