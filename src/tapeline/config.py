"""Settings: one model for every command, read from a TOML file, the environment (``TAPELINE_*``) and flags.

The file is ``tapeline.toml`` in the current folder, or the one that ``TAPELINE_CONFIG`` names.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from tapeline.clock import parse_duration
from tapeline.errors import UsageError
from tapeline.types import Timeframe


class Settings(BaseSettings):
    """What can be chosen, with its default.

    Attributes:
        db: the database file.
        timeframes: candles that are folded and stored as trades come in.
        feature_sets: sets that are computed and stored for these candles.
        reorder_window: how long trades of venues without contiguous ids are held back for order.
        max_quiet: a silence longer than this is not filled with empty candles; the grid begins anew after it.
        max_ahead: a trade stamped further ahead of its receipt than this is quarantined.
        max_pending: import gives a gap up when this many trades wait behind it.
        flush_rows: rows of a recording that are read, folded and committed in one transaction.
        runs: folder of training runs.
    """

    model_config = SettingsConfigDict(env_prefix="TAPELINE_", extra="ignore", frozen=True)

    db: Path = Path("tapeline.duckdb")
    timeframes: tuple[str, ...] = ("1m", "5m", "1h")
    feature_sets: tuple[str, ...] = ("technical", "market", "bars")
    reorder_window: str = "5s"
    max_quiet: str = "7d"
    max_ahead: str = "1m"
    max_pending: int = Field(1_000_000, ge=1)
    flush_rows: int = Field(1 << 19, ge=1, le=1 << 24)
    runs: Path = Path("runs")

    @field_validator("timeframes")
    @classmethod
    def _check_timeframes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(Timeframe.parse(name)) for name in names))

    @field_validator("reorder_window", "max_quiet", "max_ahead")
    @classmethod
    def _check_duration(cls, text: str) -> str:
        parse_duration(text)
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
        file = Path(os.environ.get("TAPELINE_CONFIG", "tapeline.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)


def load_settings(**flags: Any) -> Settings:
    """Read the settings; a flag that is None counts as not given.

    Raises:
        UsageError: a value breaks its rule; the text names the key, the value and the rule.
    """
    try:
        return Settings(**{key: value for key, value in flags.items() if value is not None})
    except (SettingsError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError("settings", f"cannot be read: {error}", next_step='lists are JSON: ["1m", "5m"]') from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"settings {key}", "cannot be used", expected=first["msg"], was=first["input"]) from error
