"""This module turns laws into plain data for JSON, keyed by names of observables; missing numbers are null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

import numpy as np
import polars as pl

from analysis.cascade_laws.elites import Concentration
from analysis.cascade_laws.examine import Law, Laws
from analysis.cascade_laws.extremes import Extremes, Slope
from analysis.cascade_laws.tail_curves import curves_as_dict
from analysis.claims.attachment import Attachment
from analysis.claims.attachment_rivals import Examined
from analysis.claims.deficits import Deficits
from analysis.claims.integration import Integration
from analysis.observables.audit import StructureAudit
from analysis.tails import TailFit
from analysis.tails.bootstrap import ExponentInterval
from analysis.tails.compare import LikelihoodRatio

BY: Final = ("topology", "n_agents")


def laws_as_dict(laws: Laws) -> dict[str, object]:
    """Return `laws` as plain data: one key per observable, and the rest under names that no observable has."""
    found: dict[str, object] = {name: _law(law) for name, law in laws.laws.items()}
    found |= {
        "gamma": {name: _growth(law) for name, law in laws.laws.items()},
        "concentration": _concentration(laws.concentration, laws.table.executions),
        "merge_conversion": _conversion(laws.integration, laws.table.executions),
        "audit": _audit(laws.audit),
        "attachment": {name: _attachment(value) for name, value in laws.attachment.items()},
        "dti": {name: _deficits(value) for name, value in laws.deficits.items()},
        "faults": laws.faults.table.to_dicts(),
        "switched": {} if laws.switched is None else {one.name: asdict(one) for one in laws.switched.measures},
        "where": laws.where,
        "executions": laws.table.n_executions,
        "events": laws.table.n_events,
        "caveats": list(laws.caveats),
    }
    plain_data = plain(found)
    assert isinstance(plain_data, dict)
    return plain_data


def _law(law: Law) -> dict[str, object]:
    told = law.numbers
    return {
        "n": law.sample.n,
        "unit": law.sample.unit,
        "mean": told.mean,
        "median": told.median,
        "std": told.std,
        "max": told.largest,
        "distinct": told.distinct,
        "gini": told.gini,
        "top10_share": told.top_share,
        "effective_n": told.effective_n,
        "n_eff": law.n_effective,
        "executions": len(np.unique(law.sample.execution)),
        "capped": law.design.capped if law.sample.has_caps else None,
        "replication": None if law.design.replication is None else asdict(law.design.replication),
        "fit": _fit(law.fit),
        "fit_all": None if law.whole is None else _fit(law.whole),
        "lr": {name: _test(test) for name, test in law.fit.tests.items()},
        "lr_clustered": {
            level.name: {name: _test(test) for name, test in level.tests.items()} for level in law.fit.levels
        },
        "verdict": law.fit.verdict.word,
        "reasons": list(law.fit.verdict.reasons),
        "nulls": list(law.nulls),
        "curves": curves_as_dict(law),
    }


def _fit(fit: TailFit) -> dict[str, object]:
    power = fit.power
    found: dict[str, object] = dict.fromkeys(
        ("alpha", "xmin", "ks", "n_tail", "n_distinct", "se", "sigma", "at_bound", "candidates", "loglik")
    )
    if power is not None:
        found = {name: getattr(power, name) for name in found}
    gof = fit.gof
    return found | {
        "best": fit.best,
        "verdict": fit.verdict.word,
        "reasons": list(fit.verdict.reasons),
        "degenerate": list(fit.degenerate),
        "gof": None
        if gof is None
        else {"p": gof.p, "error": gof.error, "replicates": gof.replicates, "family": gof.family},
        "intervals": {"value": _interval(fit.interval)}
        | {level.name: _interval(level.interval) for level in fit.levels},
        "models": {
            name: {
                "params": dict(model.params),
                "ci95": {key: [found.low, found.high] for key, found in fit.ranges.get(name, {}).items()},
                "loglik": model.loglik,
                "aic": model.aic,
                "converged": model.converged,
            }
            for name, model in fit.models.items()
        },
        "card": fit.card.as_dict(),
    }


def _interval(found: ExponentInterval | None) -> dict[str, object] | None:
    return None if found is None else {"low": found.low, "high": found.high, "clusters": found.clusters}


def _test(test: LikelihoodRatio) -> dict[str, object]:
    return {
        "first": test.first,
        "second": test.second,
        "R": test.ratio,
        "z": test.z,
        "p": test.p,
        "log10_p": test.log10_p,
        "log10_p_holm": test.log10_p_holm,
        "family": test.family,
        "nested": test.nested,
        "clusters": test.clusters,
    }


def _growth(law: Law) -> dict[str, object]:
    if law.growth is None:
        return {"gamma": None, "reason": law.no_growth}
    found: Extremes = law.growth
    alpha = law.fit.power.alpha if law.fit.power is not None else math.nan
    return {
        "gamma": found.by_mean.value,
        "ci95": [found.by_mean.low, found.by_mean.high],
        "by_mean": _slope(found.by_mean),
        "by_median": _slope(found.by_median),
        "bend": None if found.bend is None else asdict(found.bend) | {"bends": found.bend.bends},
        "zeta": found.zeta,
        "predicted_by_iid": found.predicted(alpha) if alpha > 1.0 else None,
        "at_cap": found.at_cap,
        "holdout_error": found.holdout_error,
        "curve": None if law.curve is None else law.curve.as_dict(),
        "per_n": found.per_n.to_dicts(),
        "card": found.card.as_dict(),
    }


def _slope(slope: Slope) -> dict[str, object]:
    return {
        "value": slope.value,
        "ci95": [slope.low, slope.high],
        "null95": [slope.null.low, slope.null.high],
        "beyond_null": slope.beyond_null,
    }


def _concentration(found: Concentration, executions: pl.DataFrame) -> dict[str, object]:
    if not found.table.height:
        return {"n_executions": 0, "by": []}
    numbers = [name for name in found.table.columns if name != "execution"]
    null: dict[str, object] = {}
    nulls = {
        "schedule_null": found.schedule_events,
        "null": found.null_events,
        "tok_schedule_null": found.schedule_tokens,
        "tok_null": found.null_tokens,
    }
    for name, chance in nulls.items():
        if chance is not None:
            null[name] = {
                "gini": float(np.mean(chance.gini)),
                "top10_share": float(np.mean(chance.top_share)),
                "share_of_executions_with_p_below_0.05": float(np.mean(chance.top_share_p < 0.05)),
                "replicates": chance.replicates,
            }
    means = found.table.select(pl.col(numbers).mean()).row(0, named=True)
    return {"n_executions": found.table.height, **means, **null, "by": found.by(executions, *BY).to_dicts()}


def _conversion(found: Integration, executions: pl.DataFrame) -> dict[str, object]:
    whole = found.conversion()
    row = whole.row(0, named=True) if whole.height else {}
    return {**row, "roots": found.roots, "by": found.conversion(executions, *BY).to_dicts()}


def _audit(found: StructureAudit) -> dict[str, object]:
    return {
        "executions": len(found.hashes),
        "structures": len(set(found.hashes)),
        "cells": found.cells.height,
        "repeated_cells": found.repeated_cells,
        "deterministic_cells": found.deterministic_cells,
        "by": found.cells.to_dicts(),
    }


def _attachment(found: Attachment | str) -> dict[str, object]:
    if isinstance(found, str):
        return {"beta": None, "reason": found}
    return {
        "beta": found.beta,
        "se": found.se,
        "ci95": found.interval,
        "constant": found.constant,
        "sensitivity": {f"{c:g}": beta for c, beta in found.sensitivity.items()},
        "n_decisions": found.n_decisions,
        "n_choices": found.n_choices,
        "n_uninformative": found.n_uninformative,
        "executions": found.clusters,
        "at_bound": found.at_bound,
        "reason": found.reason,
        "plain": {"beta": found.plain, "ci95": found.plain_interval},
        "examined": None if found.examined is None else _examined(found.examined),
        "card": found.card.as_dict(),
    }


def _examined(found: Examined) -> dict[str, object]:
    """Return what else explains choices; keys are promised in docs/reading-the-laws.md."""
    tests = {"reinforced": found.reinforced, "fitness": found.fitness, "recency": found.recency, "fit": found.good}
    if found.authors is not None:
        tests["authors"] = found.authors
    return {
        "verdict": found.word,
        "reasons": list(found.reasons),
        "beta": found.beta.as_dict(),
        "offset": {**found.offset.as_dict(), "open_low": found.offset.open_low, "open_high": found.offset.open_high},
        "aic_over_fitness": found.aic_over_fitness,
        "age_slope": found.age_slope,
        "tests": {name: {"ratio": test.ratio, "df": test.df, "p": test.p} for name, test in tests.items()},
    }


def _deficits(found: Deficits) -> dict[str, object]:
    return {
        name: {
            "a": estimate.parameters.scale,
            "beta": estimate.parameters.beta,
            "delta": estimate.parameters.threshold,
            "cascades": estimate.cascades,
            "large_cascades": estimate.large_cascades,
            "merge_points": estimate.merge_points,
            "events": found.replays[name].events,
            "triggers": found.replays[name].triggers,
            "cascades_hit": found.replays[name].cascades_hit,
        }
        for name, estimate in found.estimates.items()
    }


def plain(value: object) -> object:
    """Return `value` as JSON takes it: numpy numbers as Python's, and null for nan and infinities."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
