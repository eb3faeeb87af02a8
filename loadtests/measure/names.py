"""What a run knows of its requests' names, so that every load of a scenario groups them alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from loadtests.records.names.routes import PARAMETER
from loadtests.records.trial import Trial


class Names:
    """The routes of the arms' apps, those learned from requests, and the scenarios that need them."""

    def __init__(self) -> None:
        self.routes: dict[str, None] = {}
        """In order: the reference's first, so that all arms' requests are named by its routes."""
        self.learned: dict[str, dict[str, None]] = {}
        """By scenario, of those whose requests had many names."""

    def add_routes(self, routes: Iterable[str]) -> None:
        """Those of another arm's app."""
        self.routes |= dict.fromkeys(routes)

    def of(self, scenario: str) -> dict[str, Any]:
        """What a load of a scenario is told: `routes` and `grouped` of a TrialRequest."""
        learned = self.learned.get(scenario)
        return {"routes": [*self.routes, *(learned or {})], "grouped": learned is not None}

    def note(self, scenario: str, facts: Mapping[str, Any]) -> None:
        """What the generator reports of a load: whether it grouped names, and the routes that it learned."""
        if facts.get("names") is not None:
            self.learned.setdefault(scenario, {}).update(dict.fromkeys(facts["learned"]))

    def recall(self, trials: Iterable[Trial]) -> None:
        """The names that an earlier part of the run has grouped."""
        for trial in trials:
            routes = [name for name in trial.endpoints if PARAMETER.search(name)]
            self.note(trial.cell.scenario, {"names": trial.names, "learned": routes})
