from __future__ import annotations

import torch
from torch import nn

from refine_motion.labels.fingerprint import fingerprint


def test_settings_and_every_weight_count_and_their_order_does_not() -> None:
    model = nn.Linear(2, 3)
    facts = {"iters": 6, "views": ("1x",)}
    base = fingerprint(facts, model)
    assert len(base) == 16
    assert fingerprint({"views": ["1x"], "iters": 6}, model) == base
    assert fingerprint({**facts, "iters": 7}, model) != base
    assert fingerprint(facts) != base
    assert fingerprint(facts, model, model) != base
    for name in ("weight", "bias"):
        with torch.no_grad():
            getattr(model, name).flatten()[-1] += 1
        changed = fingerprint(facts, model)
        assert changed != base
        base = changed
