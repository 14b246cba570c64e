"""Settings: one model for every command, read from a TOML file, the environment (``TAPELINE_*``) and flags.

The file is ``tapeline.toml`` in the current folder, or the one that ``TAPELINE_CONFIG`` names.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from tapeline.clock import format_duration, parse_duration
from tapeline.errors import UnknownName, UsageError
from tapeline.types import Timeframe, check_instrument
from tapeline.user_files import paths_in

T = TypeVar("T")
Names = Annotated[tuple[str, ...], NoDecode]
_NEAR = 0.75
"""How alike two names are of which one is a slip of the other."""


class Settings(BaseSettings):
    """What can be chosen, with its default.

    Attributes:
        db: the database file.
        timeframes: candles that are folded and stored as trades come in.
        feature_sets: sets that are computed and stored for these candles.
        reorder_window: how long trades of venues without contiguous ids are held back for order.
        max_quiet: a silence longer than this is not filled with empty candles; the grid begins anew after it.
        max_ahead: a trade stamped further ahead of its receipt than this is quarantined.
        max_pending: a gap is given up when this many trades wait behind it.
        flush_rows: rows of a recording that are read, folded and committed in one transaction.
        runs: folder of training runs.
        indicators: files or folders of your own indicators, separated as in PATH.
        sets: folders of your own feature sets, separated as in PATH.
        models: files or folders of your own models, separated as in PATH.
        instruments: what `tapeline up` follows, such as ``BTC-USD.KRAKEN``; a venue stands for its usual ones.
        gap_timeout: a gap that the venue was asked for in vain for so long is given up; its candles are incomplete.
        quiet_grace: how long after its close a candle waits for a trade that proves it complete.
        queue: deliveries that wait for the disk at most; beyond it the sockets are read more slowly.
        state_interval: how often the state of the folds is stored, so that a restart has little to fold again.
        backoff_cap: the longest wait between two attempts to connect.
        backfill: how much of the past is asked of a venue for an instrument that is new here.
        kraken_url, coinbase_url, binance_url, massive_url: where to reach the venue instead (http, https, ws or wss;
            serves both the WebSocket and REST, unless ``*_rest_url`` says otherwise).
        kraken_feed, coinbase_feed, binance_feed, massive_feed: which of the venue's feeds is followed.
        massive_key: the user's key at Massive.
        predict: what is foretold of every instrument that is followed, as timeframe/horizon.
        retrain: how often models are trained anew while the process runs.
        retrain_cooldown: how long after a training of an instrument drift or a bad live error asks for no other.
        shadow: how long a new model runs beside a champion that has an edge before it may replace it; 0s: no time.
        monitor: how often drift, live error and anomalies are measured while the process runs.
        anomaly_rate: the share of quiet rows that models of anomalies are to flag.
        mlflow_uri: of an MLflow server (http or https) that is told of every run and model; none: nobody is told.
        host, port: where the page and the API are served.
        token: what writes, and any use from another machine, must show; none: writes are refused.
        cors: origins that may call the API from a browser.
        sql: whether the API answers read-only SQL.
        rate_limit: how many requests a second one client of the API may make on average; 0: any number.
    """

    model_config = SettingsConfigDict(env_prefix="TAPELINE_", env_ignore_empty=True, extra="forbid", frozen=True)

    db: Path = Path("tapeline.duckdb")
    timeframes: Names = ("1m", "5m", "1h")
    feature_sets: Names = ("technical", "market", "bars")
    indicators: str = ""
    sets: str = ""
    models: str = ""
    reorder_window: str = "5s"
    max_quiet: str = "7d"
    max_ahead: str = "1m"
    max_pending: int = Field(1_000_000, ge=1)
    flush_rows: int = Field(1 << 19, ge=1, le=1 << 24)
    runs: Path = Path("runs")

    instruments: Names = ("KRAKEN",)
    gap_timeout: str = "1m"
    quiet_grace: str = "2s"
    queue: int = Field(1024, ge=1, le=1 << 20)
    state_interval: str = "10s"
    backoff_cap: str = "30s"
    backfill: str = "1h"
    kraken_url: str = ""
    kraken_rest_url: str = ""
    kraken_feed: str = ""
    coinbase_url: str = ""
    coinbase_rest_url: str = ""
    coinbase_feed: str = ""
    binance_url: str = ""
    binance_rest_url: str = ""
    binance_feed: str = ""
    massive_url: str = ""
    massive_rest_url: str = ""
    massive_feed: str = ""
    massive_key: SecretStr = SecretStr("")
    predict: Names = ("1m/5m",)
    retrain: str = "6h"
    retrain_cooldown: str = "1h"
    shadow: str = "1h"
    monitor: str = "1m"
    anomaly_rate: float = Field(0.01, ge=0.001, lt=0.5)
    mlflow_uri: str = ""
    host: str = "127.0.0.1"
    port: int = Field(8787, ge=0, le=65535)
    token: SecretStr = SecretStr("")
    cors: Names = ()
    sql: bool = False
    rate_limit: int = Field(1000, ge=0)

    @field_validator("timeframes", "feature_sets", "instruments", "cors", "predict", mode="before")
    @classmethod
    def _split_names(cls, names: object) -> object:
        """Read ``1m 5m`` and ``1m,5m`` as lists too: that is how an environment variable gives them."""
        return tuple(names.strip("[]").replace('"', " ").replace(",", " ").split()) if isinstance(names, str) else names

    @field_validator("indicators", "sets", "models")
    @classmethod
    def _check_paths(cls, paths: str) -> str:
        for path in paths_in(paths):
            if not path.exists():
                raise ValueError(f"paths that exist, separated by {os.pathsep}")
        return paths

    @field_validator("timeframes")
    @classmethod
    def _check_timeframes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("at least one, such as 1m")
        return tuple(dict.fromkeys(str(_ruled(Timeframe.parse, name)) for name in names))

    @field_validator("instruments")
    @classmethod
    def _check_instruments(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys(
                name if name.isupper() and name.isalpha() else _ruled(check_instrument, name) for name in names
            )
        )

    @field_validator("predict")
    @classmethod
    def _check_predict(cls, names: tuple[str, ...], about: ValidationInfo) -> tuple[str, ...]:
        folded, usual = about.data.get("timeframes", ()), cls.model_fields["predict"].default
        for name in names:
            timeframe, _, horizon = name.partition("/")
            step = _ruled(Timeframe.parse, timeframe).step
            if names != usual and str(Timeframe.parse(timeframe)) not in folded:
                raise ValueError(f"one of the timeframes ({', '.join(folded)}), such as {folded[0]}/HORIZON")
            if parse_duration(horizon, where=f"settings predict {name}") % step:
                raise ValueError(f"a horizon that is a multiple of {format_duration(step)}, such as 1m/5m")
        return tuple(dict.fromkeys(names))

    @field_validator(
        "reorder_window",
        "max_quiet",
        "max_ahead",
        "gap_timeout",
        "quiet_grace",
        "state_interval",
        "backoff_cap",
        "backfill",
        "retrain",
        "retrain_cooldown",
        "monitor",
        mode="before",
    )
    @classmethod
    def _check_duration(cls, text: object, about: ValidationInfo) -> object:
        parse_duration(str(text), where=f"settings {about.field_name}")
        return text

    @field_validator("cors")
    @classmethod
    def _check_cors(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            found = urlsplit(origin)
            if origin not in {"*", f"{found.scheme}://{found.netloc}"}:
                raise ValueError("origins, such as https://HOST or http://HOST:PORT, or *")
        return origins

    @field_validator("mlflow_uri")
    @classmethod
    def _check_server(cls, uri: str) -> str:
        found = urlsplit(uri)
        if uri and (found.scheme not in {"http", "https"} or not found.hostname):
            raise ValueError("the address of an MLflow server: http://HOST:PORT or https://HOST")
        return uri

    @field_validator("shadow")
    @classmethod
    def _check_shadow(cls, text: str) -> str:
        if text != "0s":
            parse_duration(text, where="settings shadow")
        return text

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: flags, then the environment, then the file."""
        del dotenv_settings, file_secret_settings
        named = os.environ.get("TAPELINE_CONFIG")
        file = Path(named or "tapeline.toml")
        if named and not file.is_file():
            raise UsageError("settings TAPELINE_CONFIG", "names no file", expected="a TOML file", was=named)
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)


def _ruled(check: Callable[[str], T], text: str) -> T:
    """Check a part of a setting; what breaks a rule is told with the name of the setting."""
    try:
        return check(text)
    except UsageError as error:
        raise ValueError(error.expected or error.problem) from error


def misspelt(environment: Iterable[str]) -> dict[str, str]:
    """Return variables that no setting reads but that look like one that is read, with the right name.

    >>> misspelt(["TAPELINE_QEUE", "TAPELINE_PORT", "HOME"])
    {'TAPELINE_QEUE': 'TAPELINE_QUEUE'}
    """
    prefix, found = "TAPELINE_", dict[str, str]()
    known = {*Settings.model_fields, "config"}
    for name in environment:
        ours = name.removeprefix(prefix).lower()
        near = get_close_matches(ours, known, n=1, cutoff=_NEAR) if name.startswith(prefix) else []
        if near and ours not in known:
            found[name] = f"{prefix}{near[0].upper()}"
    return found


def load_settings(**flags: Any) -> Settings:
    """Read the settings, and let the user's indicators, sets and models be found; a flag that is None is not given.

    Raises:
        UsageError: a value breaks its rule; the text names the key, the value and the rule.
    """
    try:
        settings = Settings(**{key: value for key, value in flags.items() if value is not None})
    except (SettingsError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            "settings", f"cannot be read: {error}", next_step="mend tapeline.toml or the environment"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UnknownName(
                f"settings {key}", "is not known", expected=f"one of {', '.join(Settings.model_fields)}", was=key
            ) from error
        rule = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        secret = isinstance(Settings.model_fields[str(first["loc"][0])].default, SecretStr)
        was = SecretStr("secret") if secret else first["input"]
        raise UsageError(f"settings {key}", "cannot be used", expected=rule, was=was) from error
    for key in ("indicators", "sets", "models"):
        if paths := getattr(settings, key):
            os.environ[f"TAPELINE_{key.upper()}"] = paths
    return settings
