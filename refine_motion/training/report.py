"""Where the stages print what they do: on the first process only."""

from __future__ import annotations

from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console


def report() -> Console:
    """A console that is quiet on every process but the first, also before the processes know of one another."""
    return Console(quiet=getattr(rank_zero_only, "rank", 0) != 0)
