"""What makes two teachers the same one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from torch import nn


def fingerprint(facts: Mapping[str, object], *models: nn.Module) -> str:
    """16 hex digits over settings and all weights.

    Args:
        facts: settings that change labels, as JSON can hold them.
        models: whose weights do.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for model in models:
        for name, value in sorted(model.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
