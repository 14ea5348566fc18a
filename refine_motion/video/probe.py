"""Probing a video in a child process that may hang or crash without harm."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import refine_motion
from refine_motion.video.info import VideoInfo

_START_LIMIT_S = 120.0  # the imports of the child, on a machine that is busy


class UnreadableError(Exception):
    """The video cannot be used; the message is the reason, without the path."""


class ContentError(UnreadableError):
    """The reason lies in the content of the video: probing it again would end the same.

    Attributes:
        time_limit_s: the time limit, where it was given up for standing still that long; None for other reasons.
    """

    def __init__(self, reason: str, time_limit_s: float | None = None) -> None:
        super().__init__(reason)
        self.time_limit_s = time_limit_s


class ProbeWorker:
    """One child process that probes one video after the other; started when first needed, and again after a hang.

    Args:
        time_limit_s: seconds without progress after which the child is killed. A long video is decoded for longer
            than that; only standing still counts.
    """

    def __init__(self, time_limit_s: float) -> None:
        self._limit = time_limit_s
        self._child: _Child | None = None
        self._closed = False

    def __enter__(self) -> ProbeWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child, also in the middle of a probe."""
        self._closed = True
        self._drop()

    def probe(self, path: Path, key: str) -> VideoInfo:
        """Find out all about one video, and which reader may read it.

        Args:
            path: a video file, or a folder of images.
            key: its content key, stored in the result.

        Raises:
            ContentError: if no frame of it can be used, or probing it hangs.
            UnreadableError: if the probe crashes or fails otherwise, which may come from the machine.
        """
        facts = self._ask({"do": "examine", "path": str(path.absolute())})
        samples = facts.pop("samples", None)
        if samples is None:
            return VideoInfo.from_json(path, {**facts, "key": key, "reader": "images"})
        if not facts["faults"]:
            # decord is not even tried on a file that it is known to get wrong: that is where it hangs.
            request = {"do": "compare", "path": str(path.absolute()), "frames": facts["frames"], "samples": samples}
            try:
                fault = self._ask(request)
            except UnreadableError as error:
                fault = f"decord fails: {error}"
            facts["faults"] = [fault] if fault else []
        return VideoInfo.from_json(path, {**facts, "key": key, "reader": "pyav" if facts["faults"] else "decord"})

    def _ask(self, request: dict[str, Any]) -> Any:
        if self._closed:
            raise UnreadableError("probing was stopped")
        if self._child is None:
            self._child = _Child()
            if self._next(self._child, _START_LIMIT_S) is None:
                raise UnreadableError(f"the probe does not start within {_START_LIMIT_S:g} s")
        child = self._child
        child.send(request)
        while True:
            answer = self._next(child, self._limit)
            if answer is None:
                reason = f"the decoder hangs: no progress for {self._limit:g} s, the time limit"
                raise ContentError(reason, self._limit)
            if "refused" in answer:
                raise ContentError(answer["refused"])
            if "failed" in answer:
                raise UnreadableError(answer["failed"])
            if "result" in answer:
                return answer["result"]

    def _next(self, child: _Child, limit: float) -> dict[str, Any] | None:
        """The next answer of the child, or None when there was none for ``limit`` seconds and the child was killed."""
        try:
            answer = child.answers.get(timeout=limit)
        except queue.Empty:
            self._drop()
            return None
        if self._closed:
            raise UnreadableError("probing was stopped")
        if answer is None:
            words = child.last_words()
            self._drop()
            raise UnreadableError(f"the decoder crashes: {words}")
        return json.loads(answer)

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()


class _Child:
    """The process and its pipes. ``answers`` yields its lines, then None when it has ended."""

    def __init__(self) -> None:
        self.answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        # A command of its own rather than multiprocessing: that would run the user's main script again.
        package_home = str(Path(refine_motion.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [package_home, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "refine_motion.video.probe_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": path},
            encoding="utf-8",
        )
        assert self._process.stdout is not None
        # A thread, because a pipe cannot be read with a time limit on every platform.
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()

    def send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended: the listener says so
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def last_words(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return f"exit status {status}" + (f", {lines[-1]}" if lines else "")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()
        with contextlib.suppress(OSError):  # what was not yet sent has nobody to go to
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _listen(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                self.answers.put(line)
        self.answers.put(None)
