"""This room fits curves with bends: y over N, tokens or rounds, with as many breaks as held-out values bear out."""

from analysis.curves.columns import curve_of
from analysis.curves.fit import fit_curve
from analysis.curves.law import Break, CurveLaw, Resampled

__all__ = ["Break", "CurveLaw", "Resampled", "curve_of", "fit_curve"]
