"""The violations of each check."""

from collections.abc import Callable

from metabench import Algorithm


class Violations(dict[str, list[type[Algorithm]]]):
    """Algorithms by the check that they violate."""

    def register(self, check: str) -> Callable[[type[Algorithm]], type[Algorithm]]:
        """Return a class decorator that registers an algorithm which fails only this check."""

        def add(cls: type[Algorithm]) -> type[Algorithm]:
            self.setdefault(check, []).append(cls)
            return cls

        return add
