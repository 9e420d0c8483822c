"""Secrets that come in the environment of whoever installs a stack."""

from __future__ import annotations

from omnitron.secrets.from_environment import variable


def test_the_variable_of_a_secret() -> None:
    assert variable("stripe-key") == "OMNITRON_SECRET_STRIPE_KEY"
