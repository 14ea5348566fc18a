"""Stage 2: the student learns to reproduce the pseudo-labels.

This package has the name of the function that does the whole job, ``refine_motion.refine(...)``, so the package itself
can be called: whichever of its modules was imported first, the name means both. See
:func:`refine_motion.refine.api.refine` for the arguments.
"""

import sys
from types import ModuleType
from typing import Any


class _CallableRoom(ModuleType):
    """A package that is also the function of its name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from refine_motion.refine.api import refine

        return refine(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableRoom
