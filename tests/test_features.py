"""Feature sets: how they are written, named, versioned and shown to a model; the fold itself is in the suite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tapeline.errors import SnapshotMismatch, UnknownName, UsageError
from tapeline.features import FeatureFold, FeatureSet, available_sets
from tapeline.testing.indicators import candles, differ

TECHNICAL = [
    *("open", "high", "low", "close", "volume"),
    *(f"{name}_{w}" for name in ("sma", "ema", "rsi") for w in (7, 14, 21, 60)),
    *(f"adx_{w}{output}" for w in (7, 14, 21, 60) for output in ("", "_plus_di", "_minus_di")),
    *(f"macd_{p}_{2 * p}_{p}{output}" for p in (7, 14, 21, 60) for output in ("", "_signal", "_histogram")),
    *(f"bollinger_20_2_{output}" for output in ("mid", "upper", "lower", "width", "percent_b")),
    "obv",
]
MARKET = (
    "vwap_5 vwap_15 realized_vol_5 realized_vol_15 price_momentum_1 price_momentum_5 volume_5 volume_ratio_20 "
    "trade_count avg_trade_size buy_pressure"
)

FADE = '''
"""Fade: the close after a part of it faded."""

from tapeline.indicators.base import Indicator, Output, Parameter, Unit


def update(state, candle, part):
    # what remains
    if part < 0.0:
        part = 0.0
    part = part
    return candle.close * (1.0 - part)


INDICATOR = Indicator(
    update=update,
    state=lambda part: {
    "kept": float,
},
    parameters=(Parameter("part", 0, 1, "parts", integer=False),),
    outputs=(Output(Unit.PRICE),),
    warmup=lambda part: 0,
    inputs=("close",),
    source="this test",
)
'''


@pytest.fixture
def fade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an indicator outside the package, and a folder for what it becomes."""
    monkeypatch.setenv("TAPELINE_CACHE", str(tmp_path / "cache"))
    return _indicator(tmp_path, "first", FADE, monkeypatch)


def _indicator(folder: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = folder / name / "fade.py"
    file.parent.mkdir()
    file.write_text(code, encoding="utf-8")
    monkeypatch.setenv("TAPELINE_INDICATORS", str(file.parent))
    return file


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("technical", TECHNICAL),
        ("market", MARKET.split()),
        ("bars", ["return_1", "ma_5", "ma_10", "vol_5", "vol_10", "range"]),
    ],
)
def test_columns_of_the_shipped_sets(name: str, columns: list[str]) -> None:
    features = FeatureSet.load(name)
    assert features.names == columns
    assert features.learning
    assert features.description


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("close", ["close"]),
        ("close as price", ["price"]),
        (" sma ( 7 ) ", ["sma_7"]),
        ("sma(window=7)", ["sma_7"]),
        ("sma(7.0) as slow", ["slow"]),
        ("macd(7, signal=7, slow=14) as m", ["m", "m_signal", "m_histogram"]),
        ("bollinger(5, 1.5)", [f"bollinger_5_1p5_{o}" for o in ("mid", "upper", "lower", "width", "percent_b")]),
        ("obv()", ["obv"]),
        ("return(1)", ["return_1"]),
        ("talib.CCI(14, window=60)", ["talib_cci_14_w60"]),
        ("talib.STOCH", ["talib_stoch_w36_slowk", "talib_stoch_w36_slowd"]),
    ],
)
def test_columns_are_named_by_function_and_parameters(text: str, columns: list[str]) -> None:
    assert FeatureSet.of([text]).names == columns


@pytest.mark.parametrize(
    ("features", "text"),
    [
        (
            ["sma 7"],
            "feature set mine: has a feature that cannot be read: expected name, name(7) or name(7) as x, was 'sma 7'",
        ),
        (["sma(x)"], "feature sma(x): has a parameter that is no number: expected a finite number, was 'x'"),
        (["sma(inf)"], "feature sma(inf): has a parameter that is no number: expected a finite number, was 'inf'"),
        (["sma"], "feature sma: has other parameters: expected (window), was '()'"),
        (["sma(7, 8)"], "feature sma: has other parameters: expected (window), was '(7, 8)'"),
        (["sma(7, window=8)"], "feature sma: has other parameters: expected (window), was '(7, window=8)'"),
        (["sma(length=8)"], "feature sma: has other parameters: expected (window), was '(length=8)'"),
        (["sma(1)"], "sma window: is out of range: expected a whole number of candles from 2 to 10000, was 1.0"),
        (["sma(7.5)"], "sma window: is out of range: expected a whole number of candles from 2 to 10000, was 7.5"),
        (
            ["rsi(7)", "sma(9) as rsi_7"],
            "feature set mine: is not a list of columns: expected one or more, each once, was ['rsi_7']",
        ),
        ([], "feature set mine: is not a list of columns: expected one or more, each once, was []"),
    ],
)
def test_what_cannot_be_read_says_why(features: list[str], text: str) -> None:
    with pytest.raises(UsageError) as error:
        FeatureSet.of(features, name="mine")
    assert str(error.value) == text


def test_an_unknown_indicator_names_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"^indicator smaa: is not known: expected one of adx, .*, was 'smaa'$"):
        FeatureSet.of(["smaa(7)"])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("features = 3", """feature set x.toml: lists no features: expected features = ["close", "sma(7)"], was 3"""),
        (
            "features = [3]",
            """feature set x.toml: lists no features: expected features = ["close", "sma(7)"], was [3]""",
        ),
        ("", """feature set x.toml: lists no features: expected features = ["close", "sma(7)"], was None"""),
    ],
)
def test_a_file_that_is_no_set_says_why(content: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        FeatureSet.load(str(tmp_path / "x.toml"))
    assert str(error.value) == text


@pytest.mark.parametrize("content", [b"features = [", b"\xff\xfe"])
def test_a_broken_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"^feature set x.toml: cannot be read: "):
        FeatureSet.load(str(tmp_path / "x.toml"))


def test_an_unknown_set_names_those_there_are() -> None:
    with pytest.raises(
        UnknownName, match="feature set nope: is not known: expected one of bars, market, technical or a TOML file"
    ):
        FeatureSet.load("nope")


def test_sets_of_a_user_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text('features = ["close"]\nlearning = false', encoding="utf-8")
    (tmp_path / "bars.toml").write_text('features = ["open"]', encoding="utf-8")
    monkeypatch.setenv("TAPELINE_SETS", str(tmp_path))
    assert FeatureSet.load("mine") == FeatureSet("mine", ("close",), learning=False)
    assert FeatureSet.load("bars").names == ["open"]
    assert set(available_sets()) == {"bars", "market", "mine", "technical"}


def test_the_version_is_of_the_definition_not_of_its_spelling() -> None:
    def version(*features: str) -> str:
        return FeatureSet.of(features).version

    assert version("sma(7)", "close") == version(" sma( window = 7.0 )", "close")
    others = [("close", "sma(7)"), ("sma(8)", "close"), ("sma(7) as x", "close"), ("ema(7)", "close"), ("sma(7)",)]
    assert len({version("sma(7)", "close"), *(version(*other) for other in others)}) == 6
    assert version("bollinger(20, 2.0000001)") != version("bollinger(20, 2.00000011)")
    assert version("talib.CCI(14)") == version("talib.CCI( timeperiod=14 ) as talib_cci_14_w56")
    assert version("talib.CCI(14, window=60)") != version("talib.CCI(14, window=61) as talib_cci_14_w60")


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# what remains", "# what is left of it", True),
        ("Fade: the close after a part of it faded.", "Fade: a new text.", True),
        ("\n\n\ndef update", "\n\n\n\n\ndef update", True),
        ("1.0 - part", "1.5 - part", False),
        ("Unit.PRICE)", "Unit.RATIO)", False),
        ("    part = part\n    return", "        part = part\n    return", False),
        ('    "kept": float,', '    "other": float,', False),
    ],
)
def test_the_version_is_of_the_code_not_of_its_comments(
    old: str, new: str, same: bool, fade: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = FeatureSet.of(["fade(0.5)"]).version
    assert old in FADE
    _indicator(tmp_path, "second", FADE.replace(old, new), monkeypatch)
    assert (FeatureSet.of(["fade(0.5)"]).version == before) is same


def test_an_indicator_of_a_user_gets_the_kernel(fade: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = candles(30)
    np.testing.assert_array_equal(
        FeatureFold(FeatureSet.of(["fade(0.25)"])).feed(rows).values[:, 0], rows["close"] * 0.75
    )
    _indicator(tmp_path, "second", FADE.replace("1.0 - part", "2.0 - part"), monkeypatch)
    np.testing.assert_array_equal(
        FeatureFold(FeatureSet.of(["fade(0.25)"])).feed(rows).values[:, 0], rows["close"] * 1.75
    )


def test_a_model_sees_no_price_level() -> None:
    """All prices times ten: the inputs of the technical set stay; raw values do not."""
    features, rows = FeatureSet.load("technical"), candles(400)
    dearer = rows.copy()
    for name in ("open", "high", "low", "close", "vwap", "quote_volume"):
        dearer[name] *= 10.0
    values = [FeatureFold(features).feed(c).values for c in (rows, dearer)]
    (before, names), (after, _) = (features.inputs(v, c["close"]) for v, c in zip(values, (rows, dearer), strict=True))
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-12)
    assert not np.allclose(values[0][200:], values[1][200:])
    assert len(names) == before.shape[1] == len(features.names) - 2
    assert {"sma_7_to_close", "macd_7_14_7_signal_to_close", "bollinger_20_2_width", "rsi_7", "volume"} <= set(names)
    assert not {"close", "close_to_close", "obv"} & set(names)
    np.testing.assert_array_equal(before[:, names.index("open_to_close")], rows["open"] / rows["close"] - 1.0)


def test_a_row_is_complete_when_its_window_is() -> None:
    features, rows = FeatureSet.of(["sma(5)"]), candles(20)
    rows["complete"][9] = False
    complete = FeatureFold(features).feed(rows).complete
    assert features.window == 5
    assert np.flatnonzero(complete).tolist() == [4, 5, 6, 7, 8, 14, 15, 16, 17, 18, 19]


def test_a_definition_comes_back_and_is_extended_once() -> None:
    features = FeatureSet.of(["close", "sma(5) as ma_5"], name="mine", learning=False)
    again = FeatureSet.from_definition(features.definition)
    assert (again, again.version) == (features, features.version)
    assert features.extended("close") is features
    assert features.extended("ema(5)").names == ["close", "ma_5", "ema_5"]


def test_a_state_of_another_set_is_refused() -> None:
    fold = FeatureFold(FeatureSet.of(["sma(5)"]))
    with pytest.raises(
        SnapshotMismatch, match=r"^feature set custom: cannot take this state: expected 56 bytes, was 3$"
    ):
        fold.restore(b"abc")


def test_candles_of_any_memory_layout_use_one_kernel() -> None:
    """Rows read from bytes are read-only, rows picked from others lie apart: neither may cost a compilation."""
    features, rows = FeatureSet.of(["sma(5)"]), candles(40)
    read_only = np.frombuffer(rows.tobytes(), rows.dtype)
    values = FeatureFold(features).feed(rows).values
    assert not differ(FeatureFold(features).feed(read_only).values, values).any()
    apart = np.repeat(rows, 2)[::2]
    assert not differ(FeatureFold(features).feed(apart).values, values).any()
    assert len(features.plan.kernel.signatures) == 1  # type: ignore[attr-defined]


def test_no_candles_give_no_rows() -> None:
    rows = FeatureFold(FeatureSet.of(["sma(5)", "talib.CCI(5)"])).feed(candles(0))
    assert (len(rows), rows.values.shape) == (0, (0, 2))
