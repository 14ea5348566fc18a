"""Errors that a user can cause and mend.

Each carries one line that names the file or setting, says what is wrong with it and what to do. The command line
prints that line and exits with status 2; from Python they are ordinary exceptions.
"""


class RefineMotionError(Exception):
    """Base of every error that the user can mend; never raised itself."""


class VideoError(RefineMotionError):
    """No video was found, or one cannot be read, or it is too short for the clips asked for."""


class WeightsError(RefineMotionError):
    """A weights file is missing, unreadable, or of another architecture."""


class LabelError(RefineMotionError):
    """The label store is empty, damaged, or does not fit the request."""


class TrainingError(RefineMotionError):
    """The training went out of numbers; the last good checkpoint is kept."""


class BenchmarkError(RefineMotionError):
    """Ground truth is missing, unreadable, or of another size than the images."""


class ConfigError(RefineMotionError):
    """A setting has a value that cannot work."""
