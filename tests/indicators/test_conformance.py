"""Every indicator that can be found keeps the contract; a new one is tested without another line."""

from __future__ import annotations

from tapeline.testing.indicators import TestIndicators

__all__ = ["TestIndicators"]
