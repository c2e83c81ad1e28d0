"""Runs a case of tests/data/phase_cases.json on public functions of `analysis.synergy`; renames, computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.synergy.planning import design
from analysis.synergy.theory import formulas as th

Inputs = dict[str, Any]


def evaluate(kind: str, inputs: Inputs) -> dict[str, Any]:
    """Return what the library says to a case of this kind; NaN is reported as None (undefined)."""
    return {key: _plain(value) for key, value in CASES[kind](inputs).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def _node(i: Inputs) -> tuple[Any, Any, Any]:
    return i["b"], i["gamma"], i["rho"]


def _noise(i: Inputs) -> tuple[Any, Any, Any]:
    return i["sigma2"], i["rho"], i["sigma_c2"]


def _phase_point(i: Inputs) -> Inputs:
    point = th.phase_point(*_node(i))
    return {key: getattr(point, key) for key in ("alpha", "s", "mu_star", "kappa", "regime")}


def _predictor(i: Inputs) -> Inputs:
    p = th.predictors(i["mu0"], *_node(i), i["L"])
    return {
        "exact": p.exact,
        "clipped_growth": p.upper_clipped_growth,
        "chord_clipped": p.lower_chord,
        "logistic": p.approximate_logistic,
    }


def _mixing_depth(i: Inputs) -> Inputs:
    depth = th.mixing_depth(i["mu0"], *_node(i), i["eps"])
    return {"growth": depth.growth, "exact": depth.exact}


def _allocation(i: Inputs) -> Inputs:
    a = th.allocation(*_node(i), i["m"], th.LeafLaw(i["a"], i["beta"]))
    return {
        "c0": a.c0,
        "s": a.s,
        "synergy": a.synergy,
        "x_star": a.x_star,
        "N_approx_at_B1e5": a.leaves_approximate(1e5),
        "N_exact_at_B1e5": a.leaves(1e5),
        "L_real_at_B1e5": a.depth(1e5, i["b"]),
        "B_star_growth": a.growth_threshold,
        "B_star_depth": a.depth_thresholds,
        "B_sat": a.saturation,
        "B_catchup": a.catch_up,
    }


def _best_design(i: Inputs) -> Inputs:
    leaf = th.LeafLaw(i["a"], i["beta"], i["mu_max"])
    report = design.best_depth(i["B"], i["b"], i["m"], i["gamma"], i["rho"], leaf, terms=design.DesignTerms(i["x_min"]))
    best = report.best
    return {"L": best.depth, "N": best.n_leaves, "x": best.x, "mu": best.mu, "mu_single": report.single.mu}


def _b_star_exact(i: Inputs) -> Inputs:
    return {"B": th.exact_threshold(*_node(i), i["m"], th.LeafLaw(i["a"], i["beta"]), i["L"])}


def _risk_tree(i: Inputs) -> Inputs:
    return {
        "risk": th.risk_tree(i["b"], i["L"], *_noise(i)),
        "floor": th.risk_tree_floor(i["b"], i["rho"], i["sigma_c2"]),
        "lam": th.tree_contraction(i["b"], i["rho"]),
    }


def _risk_tree_shared_noise(i: Inputs) -> Inputs:
    return {
        "risk": th.risk_tree_shared_noise(i["b"], i["L"], *_noise(i)),
        "floor": th.risk_tree_shared_noise_floor(i["b"], i["rho"], i["sigma_c2"]),
    }


def _best_fan_in_message(i: Inputs) -> Inputs:
    curve = th.FidelityCurve(i["family"], i["m0"])
    best = th.best_fan_in_and_message(i["W"], curve, i["rho"], m_min=i["m_min"])
    return {"b": best.b, "m": best.m, "s": best.s}


def _uncertainty_band(i: Inputs) -> Inputs:
    band = th.synergy_band(**i)
    return {key: getattr(band, key) for key in ("alpha", "s", "var_alpha", "var_s", "z", "prob_synergy")}


def _gamma_estimate(i: Inputs) -> Inputs:
    estimate = th.fidelity_from_agreement(i["agree"], i["n"], i["K"])
    return {"gamma": estimate.value, "lo": estimate.low, "hi": estimate.high}


def _rho_estimate(i: Inputs) -> Inputs:
    r = th.sibling_correlation(i["votes"])
    return {
        "rho_within": r.rho_within,
        "S": r.same_run,
        "C": r.cross_run,
        "rho_pooled_run0": r.rho_pooled_first_run,
        "M": r.cross_task,
    }


def _plurality_window(i: Inputs) -> Inputs:
    window = th.plurality_window(i["b"], i["K"], i["rho"])
    return {"gamma_saddle": window.gamma_saddle, "mu_saddle": window.mu_saddle, "gamma_c": window.gamma_c}


CASES: dict[str, Callable[[Inputs], Inputs]] = {
    "majority_map": lambda i: {
        "f": th.majority_map(i["x"], i["b"]),
        "fprime": th.majority_map_derivative(i["x"], i["b"]),
    },
    "majority_slope": lambda i: {
        "A": th.majority_slope(i["b"]),
        "asymptotic": th.majority_slope_asymptotic(i["b"]),
    },
    "majority_even": lambda i: {
        "f": th.majority_map(i["x"], i["b"], ties=i["ties"]),
        "A": th.majority_slope(i["b"]),
    },
    "phase_point": _phase_point,
    "gamma_c": lambda i: {"gamma_c": th.critical_gamma(i["b"], i["rho"])},
    "rho_c": lambda i: {"rho_c": th.critical_rho(i["b"], i["gamma"])},
    "mu_star_b3_closed": lambda i: {"mu_star": th.fixed_point_fan_in_three(i["gamma"], i["rho"])},
    "trajectory": lambda i: {"mu": th.trajectory(i["mu0"], *_node(i), i["L"])},
    "predictor": _predictor,
    "mixing_depth": _mixing_depth,
    "allocation": _allocation,
    "x_star_general": lambda i: {
        "x_star": th.optimal_leaf_tokens(i["c0"], i["beta"], i["t"]),
        "B_star": th.growth_threshold(i["c0"], i["beta"], i["t"]),
    },
    "best_design": _best_design,
    "B_star_exact": _b_star_exact,
    "risk_star": lambda i: {
        "risk": th.risk_star(i["N"], *_noise(i)),
        "floor": th.risk_star_floor(i["sigma2"], i["rho"]),
    },
    "risk_tree": _risk_tree,
    "risk_tree_shared_noise": _risk_tree_shared_noise,
    "risk_tree_global": lambda i: {"risk": th.risk_tree_global(i["b"], i["L"], *_noise(i))},
    "risk_chain_mean": lambda i: {"risk": th.risk_chain_mean(i["N"], *_noise(i))},
    "risk_chain_kalman": lambda i: {
        "risk": th.risk_chain_kalman(i["N"], *_noise(i)),
        "floor": th.risk_chain_kalman_floor(*_noise(i)),
    },
    "risk_chain_relay": lambda i: {"risk": th.risk_chain_relay(i["H"], i["sigma2"], i["sigma_c2"])},
    "risk_full": lambda i: {"risk": th.risk_full(i["N"], *_noise(i))},
    "risk_ring_gossip": lambda i: {"risk": th.risk_ring_gossip(i["N"], i["w"], i["T"], *_noise(i))},
    "majority_betabinomial": lambda i: {
        "f": th.majority_map_beta_binomial(i["x"], i["b"], i["rho"]),
        "slope": th.majority_derivative_beta_binomial(0.0, i["b"], i["rho"]),
        "f_lock": th.correlated_majority_map(i["x"], i["b"], i["rho"]),
    },
    "majority_gauss_factor": lambda i: {"f": th.majority_map_gauss_factor(i["x"], i["b"], i["rho_latent"])},
    "plurality_map": lambda i: {
        "f": th.plurality_map(i["mu"], i["b"], i["K"]),
        "slope": th.plurality_slope(i["b"], i["K"]),
    },
    "plurality_window": _plurality_window,
    "verifier_select": lambda i: {"p_out": th.verifier_select(i["b"], i["tpr"], i["fpr"], i["p"])},
    "weighted_majority": lambda i: {
        "log_odds": th.weighted_majority(i["mus"]),
        "unweighted": th.unweighted_majority(i["mus"]),
        "best_single": max(i["mus"]),
    },
    "n_eff_votes": lambda i: {"n_eff": th.effective_votes(i["mu0"], i["mu_out"])},
    "kish_n_eff": lambda i: {"n_eff": th.kish_votes(i["N"], i["rho"])},
    "global_difficulty": lambda i: {"mu": th.trajectory_mixture(i["mus"], i["probs"], *_node(i), i["L"])[-1]},
    "full_vote": lambda i: {"mu_out": th.full_vote(i["N"], i["gamma"], i["mu"])},
    "trajectory_lock_before_channel": lambda i: {
        "mu": th.trajectory(i["mu0"], *_node(i), i["L"], lock="before_channel"),
        "alpha": th.alpha(*_node(i), lock="before_channel"),
    },
    "best_fanin_message": _best_fan_in_message,
    "gamma_family": lambda i: {
        "exp": th.fidelity(i["m"], "exp", i["m0"]),
        "hyp": th.fidelity(i["m"], "hyp", i["m0"]),
        "hill": th.fidelity(i["m"], "hill", i["m0"], hill=i["hill"]),
    },
    "uncertainty_band": _uncertainty_band,
    "gamma_estimate": _gamma_estimate,
    "rho_estimate": _rho_estimate,
}
