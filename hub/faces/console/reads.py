"""What the console asks of the store, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hub.delivery import Delivery, State
from hub.problem import Problem
from hub.store import Filed, Store


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand, in numbers."""

    deliveries: dict[tuple[str, State], int]
    """(adapter, state) → how many."""
    problems: dict[Problem, int]
    """Refused envelopes by problem."""
    oldest: dict[str, datetime]
    """Adapter → when its oldest waiting delivery was made."""


def standing(store: Store) -> Standing:
    """The numbers of the start page."""
    return store.standing()


def deliveries(store: Store, states: tuple[State, ...], adapter: str, before: int | None, limit: int) -> list[Delivery]:
    """Newest first, numbers below `before`; no states: any."""
    return store.deliveries(states, adapter, before, limit)


def envelopes(store: Store, adapter: str, problem: Problem | None, refused: bool | None, before: int | None, limit: int) -> list[Filed]:
    """Newest first, keys below `before`; `refused`: only the refused ones, or only the others."""
    return store.envelopes(adapter, problem, refused, before, limit)


def delivery(store: Store, id: str) -> Delivery | None:
    """One delivery by its id."""
    return store.delivery(id)


def deliveries_about(store: Store, reference: str) -> list[Delivery]:
    """Every delivery about one resource."""
    return store.deliveries_about(reference)
