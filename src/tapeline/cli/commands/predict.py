"""``tapeline predict``."""

from __future__ import annotations

from math import exp, isnan
from typing import TYPE_CHECKING, Any

import click

from tapeline.cli.invocation import Command, Invocation
from tapeline.clock import SystemClock, format_duration, format_time

if TYPE_CHECKING:
    from tapeline.types import Answer, Prediction


@click.command(cls=Command)
@click.argument("instrument")
@click.option("--timeframe", help="Only champions that look at these candles.")
@click.option("--horizon", help="Only champions that look this far ahead.")
@click.pass_obj
def command(invocation: Invocation, instrument: str, timeframe: str | None, horizon: str | None) -> int:
    """Predict from the newest complete candle.

    Every champion of the instrument answers, of every target, and what they say is kept.
    """
    from tapeline.cli.output import write_json
    from tapeline.serving import predict_latest
    from tapeline.types import Prediction

    with invocation.store(read_only=False) as store:
        made = predict_latest(
            store,
            invocation.settings,
            instrument,
            clock=SystemClock(),
            timeframe=timeframe,
            horizon=horizon,
            tell=invocation.note,
        )
    if invocation.json:
        write_json([as_json(one) if isinstance(one, Prediction) else answer_as_json(one) for one in made])
        return 0
    for one in made:
        if isinstance(one, Prediction):
            _print(one)
        else:
            _print_answer(one)
    return 0


def answer_as_json(answer: Answer) -> dict[str, Any]:
    """Return what a model of another target said as plain values, as the API gives it."""
    from msgspec.structs import asdict

    from tapeline import wire

    return asdict(wire.answer(answer))


def as_json(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as plain values, with the price that its return stands for."""
    from dataclasses import asdict

    made = asdict(prediction)
    for name in ("made_at", "as_of", "target_time"):
        made[name] = format_time(made[name])
    made["horizon"] = format_duration(prediction.horizon)
    prices = {f"price_{name}": prediction.close * exp(made[name]) for name in ("value", "low", "high")}
    return made | {"price": prices["price_value"], "price_low": prices["price_low"], "price_high": prices["price_high"]}


def _print(prediction: Prediction) -> None:
    shown = as_json(prediction)
    print(f"{prediction.instrument} {prediction.timeframe}, as of {shown['as_of']}, for {shown['target_time']}")
    print(f"  return {prediction.value * 1e4:+.3f} bp [{prediction.low * 1e4:+.3f}, {prediction.high * 1e4:+.3f}]")
    bounds = f"[{shown['price_low']:.10g}, {shown['price_high']:.10g}]"
    print(f"  price  {shown['price']:.10g} {bounds}, now {prediction.close:.10g}")
    print(f"  p(up)  {'unknown' if isnan(prediction.p_up) else f'{prediction.p_up:.3f}'}")
    print(f"  model  {prediction.model} {prediction.model_version}")
    print(f"  seen   features {prediction.feature_set} {prediction.feature_version}")
    print(f"  id     {prediction.id}")


def _print_answer(answer: Answer) -> None:
    shown = answer_as_json(answer)
    chances = ", ".join(f"{name} {chance:.3f}" for name, chance in shown["probabilities"].items())
    said = f"{shown['label']} ({chances})" if chances else f"{shown['value']:.6g}"
    print(f"{answer.instrument} {answer.timeframe}, as of {shown['as_of']}, over {shown['horizon']}")
    print(f"  {answer.target} {said}")
    print(f"  model  {answer.model} {answer.model_version}")
    print(f"  seen   features {answer.feature_set} {answer.feature_version}")
    print(f"  id     {answer.id}")
