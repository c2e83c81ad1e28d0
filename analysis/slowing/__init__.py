"""This room watches for slowing before a transition: signs along rounds and sweeps, and recovery from a push."""

from analysis.slowing.monitor import EarlyWarning, Sign, watch_series, watch_sweep
from analysis.slowing.recovery import Recovery, recovery
from analysis.slowing.rounds import round_series, watch_rounds

__all__ = [
    "EarlyWarning",
    "Recovery",
    "Sign",
    "recovery",
    "round_series",
    "watch_rounds",
    "watch_series",
    "watch_sweep",
]
