"""Which values the next trial gets, from the file, its number and the trials before it alone: nothing else is kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from random import Random
from typing import Any

from refine_motion.errors import ConfigError
from refine_motion.sweeps.file import Sweep
from refine_motion.sweeps.parameters import Choice, Range
from refine_motion.sweeps.trial import Trial

# Random ones, before the others follow what was found.
_FIRST_BAYES_TRIALS = 5


def count_trials(sweep: Sweep, asked: int | None) -> int:
    """How many trials there will be: as asked, at most ``run_cap``, at most all points of a grid.

    Raises:
        ConfigError: neither the caller nor the file says how many.
    """
    limits = [limit for limit in (asked, sweep.run_cap) if limit is not None]
    if sweep.method == "grid":
        limits.append(math.prod(len(values) for values in _grid_values(sweep)))
    if not limits:
        raise ConfigError(f"{sweep.path}: method {sweep.method} has no end; say how many with --trials N")
    return min(limits)


def suggest(sweep: Sweep, number: int, seed: int, finished: Sequence[Trial]) -> dict[str, Any]:
    """Values of all parameters for one trial.

    Args:
        sweep: the file.
        number: of the trial, from 0; below :func:`count_trials`.
        seed: of the sweep.
        finished: trials with a value; only ``bayes`` looks at them.

    Raises:
        ConfigError: ``bayes`` is asked for and optuna is not installed.
    """
    if sweep.method == "grid":
        point = next(itertools.islice(itertools.product(*_grid_values(sweep)), number, None))
        return dict(zip(sweep.parameters, point, strict=True))
    if sweep.method == "random":
        random = Random(f"{seed}:{number}")
        return {name: parameter.draw(random) for name, parameter in sweep.parameters.items()}
    return _bayes(sweep, number, seed, finished)


def _grid_values(sweep: Sweep) -> list[tuple[Any, ...]]:
    return [parameter.values for parameter in sweep.parameters.values() if isinstance(parameter, Choice)]


def _bayes(sweep: Sweep, number: int, seed: int, finished: Sequence[Trial]) -> dict[str, Any]:
    """A tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter Optimization", 2011)."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            f"{sweep.path}: method bayes needs optuna: pip install 'refine-motion[sweeps]', or take random"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space: dict[str, Any] = {}
    for name, parameter in sweep.parameters.items():
        if isinstance(parameter, Choice):
            # By position, since values may be lists.
            space[name] = optuna.distributions.CategoricalDistribution(range(len(parameter.values)))
        elif parameter.whole:
            space[name] = optuna.distributions.IntDistribution(int(parameter.low), int(parameter.high))
        else:
            space[name] = optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    sampler = optuna.samplers.TPESampler(n_startup_trials=_FIRST_BAYES_TRIALS, seed=seed + number)
    study = optuna.create_study(sampler=sampler, direction="maximize" if sweep.maximise else "minimize")
    for trial in finished:
        positions = {
            name: parameter.values.index(trial.parameters[name])
            if isinstance(parameter, Choice)
            else trial.parameters[name]
            for name, parameter in sweep.parameters.items()
        }
        study.add_trial(optuna.trial.create_trial(params=positions, distributions=space, value=trial.value))
    found = study.ask(space).params
    return {
        name: found[name] if isinstance(parameter, Range) else parameter.values[found[name]]
        for name, parameter in sweep.parameters.items()
    }
