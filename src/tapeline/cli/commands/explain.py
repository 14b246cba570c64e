"""``tapeline explain``."""

from __future__ import annotations

from typing import Any

import click

from tapeline.cli.invocation import Command, Invocation
from tapeline.clock import format_time

_TOP = 8


@click.command(cls=Command)
@click.argument("id_", metavar="ID")
@click.pass_obj
def command(invocation: Invocation, id_: str) -> int:
    """Recompute one prediction, and tell why.

    From the tape: the candle, the features, what the model saw, and what each input added.
    """
    from tapeline.cli.output import write_json
    from tapeline.explain import explain

    with invocation.store() as store:
        told = explain(store, invocation.settings, id_)
    if invocation.json:
        write_json(_timed(told))
    else:
        _print(told)
    return 0 if told["matches"] else 1


def _timed(told: dict[str, Any]) -> dict[str, Any]:
    from tapeline.cli.commands.predict import answer_as_json, as_json
    from tapeline.types import Answer, Prediction

    said = told["prediction"]
    shown = answer_as_json(Answer(**said)) if "target" in said else as_json(Prediction(**said))
    candle = {name: format_time(value) if name.endswith("_time") else value for name, value in told["candle"].items()}
    return told | {"prediction": shown, "candle": candle}


def _print(told: dict[str, Any]) -> None:
    prediction, candle = told["prediction"], told["candle"]
    what = f"{prediction['instrument']} {prediction['timeframe']}, as of {format_time(prediction['as_of'])}"
    print(f"prediction {prediction['id']}: {what}")
    same = "the same bits as stored" if told["matches"] else "DIFFERS from what is stored"
    print(f"  recomputed from the tape: {same}")
    for finding in told["differences"]:
        print(f"  {finding['field']}: stored {finding['stored']}, recomputed {finding['recomputed']}")
    held = f"close {candle['close']:.10g}, {candle['trades']} trades, volume {candle['volume']:.6g}"
    print(f"  candle {format_time(candle['open_time'])}: {held}")
    for target, found in told["explanation"]["targets"].items():
        numbers = found["prediction"] if isinstance(found["prediction"], list) else [found["prediction"]]
        said = ", ".join(f"{number:.6g}" for number in numbers)
        print(f"\n{target}: {found['model']} {found['version']} says {said}; why, in {found['unit']}:")
        print(f"  {'base':<32} {'':>14} {found['base']:+.6g}")
        for part in found["contributions"][:_TOP]:
            print(f"  {part['column']:<32} {part['value']:>14.6g} {part['added']:+.6g}")
        if len(found["contributions"]) > _TOP:
            rest = sum(part["added"] for part in found["contributions"][_TOP:])
            print(f"  {len(found['contributions']) - _TOP:>3} others {'':>36} {rest:+.6g}")
