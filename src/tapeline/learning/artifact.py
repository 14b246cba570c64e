"""A trained model as it is stored and served: what it learnt, on what, for what, and how sure it may be.

It is one JSON document; its version is the hash of its bytes, so a version can never mean two models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Self

import tapeline
from tapeline.clock import format_duration
from tapeline.errors import InputError
from tapeline.models.base import Model, model_class


def content_hash(raw: bytes) -> str:
    """Return the hash by which stored bytes are known again (32 hex digits).

    >>> content_hash(b"")
    'cae66941d9efbd404e4d88758ea67670'
    """
    return blake2b(raw, digest_size=16).hexdigest()


@cache
def code_version() -> str:
    """Return Tapeline's version and a hash of the code that learns (8 hex digits), such as ``0.1.0+1a2b3c4d``."""
    root = Path(tapeline.__file__).parent
    names = ("labels.py", "evaluate.py", "train.py")
    files = [*(root / name for name in names), *(root / "learning").glob("*.py"), *(root / "models").glob("*.py")]
    code = b"".join(file.read_bytes() for file in sorted(files))
    return f"{tapeline.__version__}+{content_hash(code)[:8]}"


def model_name(instrument: str, timeframe: str, horizon: int, target: str = "return") -> str:
    """Return the name under which models of one task are registered.

    >>> model_name("BTC-USD.KRAKEN", "1m", 300_000_000_000)
    'BTC-USD.KRAKEN_1m_5m'
    """
    name = f"{instrument}_{timeframe}_{format_duration(horizon)}"
    return name if target == "return" else f"{name}_{target}"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained model with everything needed to serve it.

    Attributes:
        instrument: whose rows it was fitted on, and may answer for.
        timeframe: of these rows.
        horizon: ns.
        target: one of `tapeline.models.targets.TARGETS`.
        model: the family.
        content: what `Model.dump` gave, as text.
        columns: the inputs in order.
        feature_set: the set they come from.
        feature_version: the only version it may be served with.
        low: what is added to a prediction for the lower end of its interval, in the row's unit (`learning.spread`);
            NaN where it has none. Where the ends follow what came, the first one.
        high: likewise for the upper end.
        coverage: the share of outcomes the interval is made to cover.
        trained_from: ``as_of`` of the first row learnt from, ns UTC.
        trained_to: ``known_at`` of the last, ns UTC.
        rows: how many it learnt from.
        run: the run that made it.
        data_hash: of the rows.
        seed: of all randomness.
        code_version: of Tapeline and of the code that learns.
        floor: the least unit; 0: the unit is always 1.
        interval_rate: by what share of the width an end moves after an outcome (`learning.conformal`); 0: ends stay.
    """

    instrument: str
    timeframe: str
    horizon: int
    target: str
    model: str
    content: str
    columns: tuple[str, ...]
    feature_set: str
    feature_version: str
    low: float
    high: float
    coverage: float
    trained_from: int
    trained_to: int
    rows: int
    run: str
    data_hash: str
    seed: int
    code_version: str
    floor: float = 0.0
    interval_rate: float = 0.0

    @property
    def name(self) -> str:
        """Return the name it is registered under."""
        return model_name(self.instrument, self.timeframe, self.horizon, self.target)

    @property
    def version(self) -> str:
        """Return the hash of its bytes (12 hex digits)."""
        return content_hash(self.dump())[:12]

    def dump(self) -> bytes:
        """Save as JSON; the same artefact gives the same bytes.

        One whose ends stay gives the bytes of before there were others.
        """
        fields = asdict(self) | {key: None for key in ("low", "high") if math.isnan(getattr(self, key))}
        if not self.interval_rate:
            del fields["interval_rate"]
        return json.dumps(fields, sort_keys=True, allow_nan=False).encode()

    @classmethod
    def load(cls, raw: bytes, *, expected_hash: str | None = None) -> Self:
        """Read what `dump` gave; runs no code of the artefact.

        Raises:
            InputError: the bytes are not those that were stored, or no artefact.
        """
        found = content_hash(raw)
        if expected_hash is not None and found != expected_hash:
            problem = f"was altered or truncated ({len(raw)} bytes)"
            raise InputError(
                "model artefact", problem, expected=f"hash {expected_hash}", was=found, next_step="train or roll back"
            )
        try:
            fields = json.loads(raw)
            unknown = {key: math.nan for key in ("low", "high") if fields[key] is None}
            return cls(**(fields | unknown | {"columns": tuple(fields["columns"])}))
        except (ValueError, KeyError, TypeError) as error:
            rule = "JSON that was stored"
            raise InputError("model artefact", "cannot be read", expected=rule, was=raw[:40]) from error

    def open(self, paths: Sequence[str | Path] = ()) -> Model:
        """Return the model, ready to predict.

        Raises:
            UnknownName: no model of its name is installed.
            InputError: its content cannot be read.
        """
        return model_class(self.model, self.target, paths).load(self.content.encode())
