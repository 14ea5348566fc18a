"""Measurements of nothing, on which the harness itself is tested."""

from __future__ import annotations

from pathlib import Path

from tests.bench.child import Skipped
from tests.bench.results import Row, row


def good(device: str, out: str) -> list[Row]:
    """Counts its calls in the folder of the results, and gives the count."""
    calls = Path(out) / "calls"
    with calls.open("a") as file:
        file.write(".")
    return [row("calls", calls.stat().st_size, "calls", 4.0, "four of them", more_is_better=True, wanted=0.1)]


def bad(device: str, out: str) -> list[Row]:
    """Fails."""
    raise ValueError("it does not work")


def impossible(device: str, out: str) -> list[Row]:
    """Cannot be taken."""
    raise Skipped("no such device")


def peak_after_a_larger_one() -> int:
    """Peak memory in bytes of a call that holds 2**25 of them, after twice as many were held."""
    # Not above: torch takes its time to load, in each of the processes that test the harness.
    from tests.bench.meter import peak_of

    before = bytearray(b"1") * 2**26
    del before
    return peak_of(lambda: bytearray(b"1") * 2**25, "cpu")
