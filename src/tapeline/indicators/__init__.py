"""Indicators: one file each, found by themselves; the contract is in `tapeline.indicators.base`."""
