"""The conformance suite on a user's own models: those of ``TAPELINE_MODELS`` and of entry points.

It finds them by itself::

    TAPELINE_MODELS=my_model.py pytest --pyargs tapeline.testing.own_models

What each has to keep stands in `tapeline.testing.models`.
"""

from __future__ import annotations

from tapeline.models.base import Model, find_models
from tapeline.testing.models import ModelSuite, suite_for


def suites(kinds: list[type[Model]]) -> dict[str, type[ModelSuite]]:
    """Return the suite of each model by a name that pytest collects."""
    return {
        f"Test_{kind.name}_{kind.target}": type(
            f"Test_{kind.name}_{kind.target}", (suite_for(kind),), {"model": kind, "__module__": __name__}
        )
        for kind in kinds
    }


globals().update(
    suites([kind for kind in find_models().values() if not kind.__module__.startswith("tapeline.models.")])
)
