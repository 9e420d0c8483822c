"""Secrets that come in the environment of whoever installs a stack."""

from __future__ import annotations

import pytest

from omnitron.secrets.from_environment import Known, variable


def test_the_variable_of_a_secret() -> None:
    assert variable("stripe-key") == "OMNITRON_SECRET_STRIPE_KEY"


def test_a_secret_is_known_from_its_store_or_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNITRON_SECRET_B", "x")
    known = Known(["a"])
    assert "a" in known and "b" in known and "c" not in known
