"""The patterns of parameters, each with its rule in words: who breaks one is told the rule, not the pattern."""

from __future__ import annotations

_WORDS: dict[str, str] = {}


def pattern(regex: str, words: str) -> str:
    """Return a pattern, and keep what it asks for in words, with an example."""
    _WORDS[regex] = words
    return regex


def words_of(regex: str) -> str | None:
    """Return what a pattern asks for in words; None for one that `pattern` was not told of."""
    return _WORDS.get(regex)


_STEP = r"\d{1,6}(ms|s|m|h|d)"

INSTRUMENT = pattern(
    r"^[A-Z0-9][A-Z0-9._:/-]*\.[A-Z0-9]+$", "an instrument in capitals with its venue, such as BTC-USD.KRAKEN"
)
FOLLOWED = pattern(
    r"^[A-Z0-9][A-Z0-9._:-]*\.[A-Z0-9]+$", "an instrument in capitals with its venue, such as BTC-USD.KRAKEN"
)
TIMEFRAME = pattern(
    f"^{_STEP}(/{_STEP})?$", "a length with a unit ms, s, m, h or d, such as 1s, 1m, 4h or 1d, or size/step: 5m/1m"
)
TIME = pattern(
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"([Tt ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?([Zz]|[+-]([01]\d|2[0-3]):?[0-5]\d)?)?$",
    "a date or a time of RFC 3339, such as 2024-08-09 or 2024-08-09T12:30:00Z",
)
MODEL = pattern(r"^[A-Za-z0-9._:/+-]+$", "a model's name, such as BTC-USD.KRAKEN_1m_5m")
FAMILY = pattern(r"^[A-Za-z0-9_+.-]+$", "the name of a kind of model, such as ridge")
SET = pattern(r"^[A-Za-z0-9_-]{1,64}$", "letters, digits, _ and -, such as technical")
CURSOR = pattern(r"^[A-Za-z0-9_-]+$", "the next of an answer")
ID = pattern(r"^[0-9a-f]{6,32}$", "6 to 32 hexadecimal digits, such as 752aa389b971")
RUN = pattern(r"^[A-Za-z0-9-]{4,64}$", "4 to 64 letters, digits and -, such as e5ea1f7ac816")
NAMES = pattern(r"^[A-Za-z0-9._:/*-]+(,[A-Za-z0-9._:/*-]+)*$", "names with commas between, such as candles,predictions")
