"""Walking forward: every prediction is made by a model that had only seen what was known by then.

Per fold everything is learnt anew inside the training part: scaling, the choice of penalties, early stopping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tapeline.errors import BrokenInvariant
from tapeline.learning.dataset import Dataset
from tapeline.learning.fitting import fit
from tapeline.learning.folds import Fold
from tapeline.learning.kept import Kept
from tapeline.learning.reading import heard, rows_asked
from tapeline.learning.together import together
from tapeline.models.base import Model
from tapeline.models.targets import TARGETS
from tapeline.types import Float


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a model said of some rows, and as what that is read; the same but for targets that are `read_as`."""

    itself: Float
    read: Float


@dataclass(frozen=True, slots=True, eq=False)
class Walker:
    """Fit models anew in each fold, and ask them about its test part.

    Attributes:
        dataset: the rows.
        labels: what they are judged by (n).
        folds: from `split`.
        seed: of the models.
        rate: the share of quiet rows to be called anomalies.
        weighted: whether rows count by the uniqueness of their outcomes.
    """

    dataset: Dataset
    labels: Float
    folds: Sequence[Fold]
    seed: int
    rate: float = 0.01
    weighted: bool = False

    def ask(self, kind: type[Model], number: int) -> Said:
        """Return what a model says about the test part of one fold.

        Raises:
            BrokenInvariant: it says something that is not a number, or no probability.
        """
        fold = self.folds[number]
        rows, labels = fold.train, self.labels
        model = fit(kind, self.dataset, seed=self.seed, rows=rows, labels=labels, weighted=self.weighted)
        said = model.predict(rows_asked(self.dataset, kind, fold, self.labels, self.seed))
        good = TARGETS[kind.target].usable(said)
        if len(said) != len(self.labels[fold.test]) or not good.all():
            where = f"model {kind.name} ({kind.target}) fold {fold.number}"
            was = f"{int((~good).sum())} others of {good.size}"
            raise BrokenInvariant(where, "is no forecast", expected=_rule(kind.target), was=was)
        read = heard(model, said, self.dataset, self.labels, fold, self.rate)
        return Said(said if TARGETS[kind.target].read_as else read, read)

    def ask_all(self, models: Sequence[type[Model]], kept: Kept, progress: Callable[[str], None]) -> dict[str, Said]:
        """Return what each model says about all test parts, baselines first; several fits at once where they allow it.

        Args:
            models: of one target.
            kept: what was said before, and what is said now.
            progress: told each model and fold.
        """
        ordered = sorted(models, key=lambda kind: not kind.baseline)
        wanted = [(kind, number) for kind in ordered for number in range(len(self.folds))]
        parts: dict[tuple[str, int], Said] = {}
        for kind, number in wanted:
            if (part := self._kept(kept, kind, number)) is not None:
                parts[kind.name, number] = part
                progress(self._told(kind, number))
        for alone in (True, False):
            asked = [one for one in wanted if (one[0].name, one[1]) not in parts and one[0].alone == alone]
            for done in together([partial(self.ask, kind, number) for kind, number in asked], alone=alone):
                kind, number = asked[done.place]
                _keep(kept, kind, number, done.gave, done.seconds)
                parts[kind.name, number] = done.gave
                progress(self._told(kind, number))
        return {kind.name: _joined([parts[kind.name, number] for number in range(len(self.folds))]) for kind in ordered}

    def _kept(self, kept: Kept, kind: type[Model], number: int) -> Said | None:
        """Return what was kept of a test part, None where that is nothing or something else."""
        fold, name = self.folds[number], part_name(kind, number)
        read = kept.get(name)
        itself = kept.get(_itself(name)) if TARGETS[kind.target].read_as else read
        if read is None or itself is None or len(read) != fold.test.stop - fold.test.start:
            return None
        return Said(itself, read)

    def _told(self, kind: type[Model], number: int) -> str:
        return f"{kind.name} ({kind.target}) fold {number + 1} of {len(self.folds)}"


def part_name(kind: type[Model], number: int) -> str:
    """Return the name under which it is kept what a model said of the test part of a fold."""
    return f"{kind.target}-{kind.name}-{number}"


def _itself(name: str) -> str:
    return f"itself-{name}"


def _keep(kept: Kept, kind: type[Model], number: int, said: Said, seconds: float) -> None:
    """Keep what was said of a test part: first the model's own words, so that a kill in between keeps nothing."""
    name = part_name(kind, number)
    if TARGETS[kind.target].read_as:
        kept.put(_itself(name), said.itself)
    kept.put(name, said.read, seconds)


def _joined(parts: Sequence[Said]) -> Said:
    itself, read = (np.concatenate([getattr(part, side) for part in parts]) for side in ("itself", "read"))
    return Said(itself, read)


def _rule(target: str) -> str:
    asked = TARGETS[target]
    if asked.classes:
        return f"{asked.width} numbers inside (0, 1) a row, 1 in sum"
    return "one number inside (0, 1) a row" if asked.high == 1 else "one finite number a row"
