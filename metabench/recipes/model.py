"""What a recipe file may contain, checked when it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from metabench.errors import ConfigError, MetabenchError, PluginError
from metabench.plugins import OWN_DISTRIBUTION
from metabench.recipes.comparison import Comparison

Kind = Literal["classification", "regression"]
Modality = Literal["image", "vector"]
Value = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str
"""What a hyper-parameter may be."""

# A BeforeValidator, so that an error shows the text of the file and not a parsed object.
_Numbers = Annotated[Comparison | None, BeforeValidator(Comparison.parse)]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
_Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


@dataclass(frozen=True)
class Facts:
    """What a condition may ask of a benchmark.

    Args:
        kind: ``classification`` or ``regression``.
        modality: ``image`` where an example has three dimensions, else ``vector``.
        ways: classes in a test episode; 0 in regression.
        shots: support examples for each class in a test episode.
        budget: examples that meta-training may draw; 0 where it is unknown, and then no condition
            on the budget holds.
        dataset: the data set of meta-training.
    """

    kind: Kind
    modality: Modality
    ways: int
    shots: int
    budget: int = 0
    dataset: str = ""

    def __str__(self) -> str:
        """The facts on one line, for messages."""
        shape = f"{self.ways}-way {self.shots}-shot" if self.ways else f"{self.shots}-shot"
        words = [self.kind, self.modality, shape, f"budget {self.budget}", self.dataset]
        return ", ".join(word for word in words if word)


class _Strict(BaseModel):
    # A misspelt key would otherwise be ignored, and the entry apply to everything.
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Condition(_Strict):
    """The benchmarks that an entry applies to; without any key it applies to all.

    Attributes:
        kind: ``classification`` or ``regression``.
        modality: ``image`` or ``vector``.
        dataset: the name of a data set, or a list of names.
        ways: classes in a test episode.
        shots: support examples for each class in a test episode.
        budget: examples that meta-training may draw.
    """

    kind: Kind | None = None
    modality: Modality | None = None
    dataset: _Name | tuple[_Name, ...] | None = None
    ways: _Numbers = None
    shots: _Numbers = None
    budget: _Numbers = None

    def matches(self, facts: Facts) -> bool:
        """Returns whether all that the condition asks for is true of a benchmark."""
        if self.kind not in (None, facts.kind) or self.modality not in (None, facts.modality):
            return False
        if self.dataset is not None and facts.dataset not in self._datasets():
            return False
        # 0 means that the budget is unknown: it is no small one.
        if self.budget is not None and facts.budget == 0:
            return False
        numbers = (self.ways, facts.ways), (self.shots, facts.shots), (self.budget, facts.budget)
        return all(asked is None or asked.holds(number) for asked, number in numbers)

    def _datasets(self) -> tuple[str, ...]:
        return (self.dataset,) if isinstance(self.dataset, str) else self.dataset or ()

    def __str__(self) -> str:
        """The condition on one line; empty where there is none."""
        words: list[str] = [word for word in (self.kind, self.modality) if word]
        if self.dataset is not None:
            words.append(f"dataset={'|'.join(self._datasets())}")
        numbers = {"ways": self.ways, "shots": self.shots, "budget": self.budget}
        words += [asked.describe(name) for name, asked in numbers.items() if asked is not None]
        return " ".join(words)


class Recipe(_Strict):
    """An entry of a recipe file.

    Attributes:
        name: the recipe that the entry belongs to: ``default``, ``paper``, or any other name.
        source: where the values come from: a paper's section, a commit, a study.
        when: the benchmarks that it applies to.
        values: hyper-parameters by name.
    """

    name: _Name
    source: _Text  # required: a value whose origin is unknown cannot be judged
    when: Condition = Condition()
    values: dict[str, Value] = Field(min_length=1)


class Document(_Strict):
    """A recipe file as TOML has it.

    Attributes:
        extends: the algorithm whose entries come before those of this file.
        recipe: the entries.
    """

    extends: _Name | None = None
    recipe: tuple[Recipe, ...] = ()


@dataclass(frozen=True)
class RecipeFile:
    """A recipe file that has been read.

    Args:
        path: the file; its stem is the name of the algorithm.
        document: what it contains.
        distribution: the distribution that brings it.
    """

    path: Path
    document: Document
    distribution: str = OWN_DISTRIBUTION

    @property
    def algorithm(self) -> str:
        """The name of the algorithm."""
        return self.path.stem

    def entries(self) -> Iterator[tuple[str, Recipe]]:
        """Yield each entry with its place, for messages: ``recipe file 'maml.toml', entry 1``."""
        for number, recipe in enumerate(self.document.recipe, start=1):
            yield place(self.path, number, recipe.name), recipe


def place(path: Path, number: int, name: Any = None) -> str:
    """Returns where an entry stands, for messages."""
    named = f" ('{name}')" if isinstance(name, str) else ""
    return f"recipe file '{path}', entry {number}{named}"


def fault(distribution: str, message: str, *, hint: str = "") -> MetabenchError:
    """Returns the error for an invalid recipe file of a distribution.

    A PluginError breaks the cells of the plugin's algorithms; a ConfigError ends the run.
    """
    error = ConfigError if distribution == OWN_DISTRIBUTION else PluginError
    return error(message, hint=hint)
