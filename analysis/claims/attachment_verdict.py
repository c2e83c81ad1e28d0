"""This module gives the attachment exponent with the verdict on what it means; see `analysis.claims.attachment_rivals`.

The exponent that is told is the one beside ages and authors with its offset estimated, where enough choices are known
so well. Where they are not, nothing is told: an exponent alone does not say whether anything is reinforced.
"""

from __future__ import annotations

from dataclasses import replace

from analysis.claims.attachment import BOUND, Attachment, fit_attachment
from analysis.claims.attachment_choices import Choices
from analysis.claims.attachment_rivals import LEAST, OFFSETS, Examined, examine_choices
from analysis.fitcard import Entry, FitCard

FEW = f"fewer than {LEAST} choices between claims that had been built on unequally: too few for an estimate"


def examine_attachment(choices: Choices, *, groups: int = 0) -> Attachment:
    """Return the attachment exponent of `choices`, held against what else may explain them.

    Args:
        choices: decisions with their risk sets, with ages, authors and claims of the alternatives.
        groups: groups of executions for the jackknife interval of the plain exponent (offset 1, nothing beside it);
            0 leaves it out.
    """
    plain = fit_attachment(choices, groups=groups)
    if plain.beta is None or not choices.described:
        return plain
    found = examine_choices(choices)
    if found is None:
        return replace(plain, beta=None, se=None, interval=None, sensitivity={}, at_bound=False, reason=FEW)
    at_bound = abs(found.beta.value) >= BOUND
    reason = f"the likelihood is flat, or still rises at beta = {found.beta.value:.2g}" if at_bound else ""
    return replace(
        plain, beta=found.beta.value, se=found.se, interval=(found.beta.low, found.beta.high),
        constant=found.offset.value, at_bound=at_bound, reason=reason, plain=plain.beta, plain_interval=plain.interval,
        examined=found, card=_card(plain.card, found),
    )  # fmt: skip


def _card(plain: FitCard, found: Examined) -> FitCard:
    """Return the fit card of the exponent beside ages and authors."""
    form: dict[str, Entry] = {
        "equation": "P(i) ~ (x_i + c)^beta exp(age_i + author_i) over the risk set",
        "free": ("beta", "c", "effects of ages", "effects of authors"),
        "c": f"{found.offset.value:.6g} {found.offset.brackets()}",
        "competing": ("beta = 0", "claims of unequal fitness (gamma, lognormal)", "free effects of classes of x"),
    }
    optimisation: dict[str, Entry] = {
        "loss": "negative conditional log-likelihood, without replacement, with the density of authors' effects",
        "bounds": f"c from {OFFSETS[0]:.3g} to {OFFSETS[-1]:.3g}",
        "uncertainty": "profile likelihood, choices independent given the past",
        "beta": f"{found.beta.value:.12g}",
    }
    return replace(plain, form={**plain.form, **form}, optimisation={**plain.optimisation, **optimisation})
