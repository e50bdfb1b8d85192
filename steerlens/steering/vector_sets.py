"""Vector sets: containers of steering vectors by name and locale."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steerlens.data import Items
from steerlens.errors import FileError, SettingsError, UnknownNameError
from steerlens.fingerprint import Fingerprint
from steerlens.steering.contrasts import locales_of_items
from steerlens.steering.edits import restored_edit
from steerlens.steering.interventions import Intervention, LayerEdits
from steerlens.steering.on_hub import VECTORS_FILE, OnHub
from steerlens.steering.vectors import SteeringVector
from steerlens.storage import load_tensors, parsed, restored, save_tensors, tensor_bytes, under

KIND = "vector set"
Key = tuple[str, str]
"""The key of a vector: its name and its locale."""


class VectorSet(OnHub, Mapping[Key, Intervention]):
    """Vectors of one model by name and locale.

    ``vectors["EN", "es-ES"]`` returns the vector with this name and locale. ``vectors["formal"]`` returns the vector named
    ``formal`` if there is only one such vector. ``vectors.of("es-ES")`` returns the vectors for the items of a locale.
    ``vectors.named("EN")`` returns the set of all vectors with one name. A vector without a locale is used on all items.
    """

    def __init__(self, vectors: Iterable[Intervention] = ()) -> None:
        """Makes a set of vectors.

        Args:
            vectors: steering vectors or other interventions. Each pair of name and locale may occur only once.

        Raises:
            SettingsError: two vectors have the same name and locale, or a vector without a locale has the same name as a
                vector with a locale.
            FingerprintError: the vectors belong to different models.
        """
        self._vectors: dict[Key, Intervention] = {}
        self.source = ""
        """The repository and commit on the hub from which the set was read, as ``user/name@commit``; ``""`` for any other
        set."""
        for vector in vectors:
            self._check(vector)
            self._vectors[vector.name, vector.locale] = vector

    def _check(self, vector: Intervention) -> None:
        if not isinstance(vector, Intervention):
            raise SettingsError(
                f"{type(vector).__name__} given in a vector set: expected steering vectors or other interventions."
            )
        for (name, locale), known in self._vectors.items():
            vector.fingerprint.check(known.fingerprint, f"vector {vector.label}")
            if name == vector.name and (locale == vector.locale or not (locale and vector.locale)):
                raise SettingsError(
                    f"two vectors called {name!r} were given for {vector.locale or locale or 'all locales'}, so the name is "
                    "ambiguous. Give one of the vectors another name, for example with vector.called('mine')."
                )

    def __getitem__(self, key: Key | str) -> Intervention:
        """Returns one vector by name and locale, or only by name if there is one vector with this name.

        Raises:
            UnknownNameError: there is no such vector, or several vectors have this name.
        """
        if isinstance(key, tuple) and key in self._vectors:
            return self._vectors[key]
        own = [vector for (name, _), vector in self._vectors.items() if name == key]
        if len(own) == 1:
            return own[0]
        advice = f"There is one vector for each of {', '.join(v.locale for v in own)}: name the locale too." if own else ""
        raise UnknownNameError("vector", key, [(name, code) if code else name for name, code in self._vectors], advice)

    def __contains__(self, key: object) -> bool:
        """Returns whether there is a vector with the given name and locale. If only a name is given, any locale counts."""
        return key in self._vectors or key in self.names

    def get(self, key: Any, default: Any = None) -> Any:
        """Returns the vector for a ``key``, like ``vectors[key]``, or ``default`` if there is no such vector.

        Args:
            key: a name and locale, or only a name.
            default: the result if there is no such vector.

        Raises:
            UnknownNameError: there are several vectors with the name.
        """
        there = key in self
        return self[key] if there else default

    def __iter__(self) -> Iterator[Key]:
        return iter(self._vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    def __repr__(self) -> str:
        where = f" of {', '.join(self.locales)}" if self.locales else ""
        return f"VectorSet({', '.join(self.names)}{where}, {len(self)} vectors)"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the vectors. Each name is included once."""
        return tuple(dict.fromkeys(name for name, _ in self._vectors))

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales of the vectors. Each locale is included once, and vectors without a locale are ignored."""
        return tuple(dict.fromkeys(locale for _, locale in self._vectors if locale))

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the model from which all vectors were taken.

        Raises:
            SettingsError: the set is empty.
        """
        if not self._vectors:
            raise SettingsError(
                "no vectors given: expected at least one vector. Take vectors with sl.steering.take(model, split.train)."
            )
        return next(iter(self._vectors.values())).fingerprint

    def of(self, locale: str) -> dict[str, Intervention]:
        """Returns the vectors for a locale's items by name: the locale's own vectors, and the vectors without a locale.

        Args:
            locale: the locale, for example ``es-ES``.
        """
        return {name: vector for (name, code), vector in self._vectors.items() if code in ("", locale)}

    def named(self, *names: str) -> "VectorSet":
        """Returns the set of all vectors with one of the given names.

        Args:
            names: the names, for example ``EN``.

        Raises:
            UnknownNameError: there is no vector with one of the names.
        """
        for name in names:
            if name not in self.names:
                raise UnknownNameError("vector", name, self.names)
        return VectorSet(vector for (name, _), vector in self._vectors.items() if name in names)

    def locales_in(self, items: Items) -> tuple[str, ...]:
        """Returns the locales on whose items the vectors are used. The result contains the vectors' own locales and, if a
        vector has no locale, all locales of the items except English.

        Args:
            items: the items on which the vectors are used.

        Raises:
            UnknownNameError: a vector's locale has no items.
        """
        for locale in self.locales:
            items.of(locale=locale)
        everywhere = locales_of_items(items) if any(not locale for _, locale in self._vectors) else ()
        return tuple(dict.fromkeys((*self.locales, *everywhere)))

    def digest(self) -> str:
        """Returns the SHA-256 of all vectors, including their names, locales, layers and tensors."""
        found = hashlib.sha256()
        for vector in self.values():
            header, tensors = _packed(vector)
            header["fingerprint"].pop("name")  # two names for the same weights are the same model
            found.update(json.dumps(header, sort_keys=True, ensure_ascii=False).encode())
            for _, tensor in sorted(tensors.items()):
                found.update(tensor_bytes(tensor))
        return found.hexdigest()

    def save(self, path: str | Path) -> Path:
        """Writes all vectors to one safetensors file.

        Args:
            path: the file, such as ``vectors.safetensors``.

        Raises:
            FileError: the file cannot be written.
        """
        packed = [_packed(vector) for vector in self.values()]
        tensors = {f"{at}.{name}": own for at, (_, held) in enumerate(packed) for name, own in held.items()}
        return save_tensors(path, KIND, tensors, {"vectors": [header for header, _ in packed]})

    @classmethod
    def load(cls, path: str | Path, *, revision: str | None = None) -> "VectorSet":
        """Reads a set that ``save``, ``save_for_hub`` or ``push_to_hub`` wrote.

        Args:
            path: the file, the folder that ``save_for_hub`` wrote, or a repository on the hub as ``user/name``.
            revision: the commit, branch or tag of the repository; ``None`` reads the newest commit and logs its name.

        Raises:
            FileError: the file is missing or truncated, is not a vector set, has another format version, contains NaN, or
                cannot be read from the hub.
            SettingsError: a revision is given, but the path is not a repository.
        """
        from steerlens.hub import found

        place = found(path, VECTORS_FILE, revision)
        path = place.path
        tensors, header = load_tensors(path, KIND)
        listed = restored(_Header, header, str(path)).vectors
        held = [under(f"{at}.", tensors) for at in range(len(listed))]
        if sum(map(len, held)) != len(tensors):
            raise FileError(
                f"{path} contains tensors {sorted(tensors)}, which do not match its {len(listed)} vectors. Write the file again."
            )
        each = enumerate(zip(listed, held, strict=True))
        made = cls(_unpacked(own, parts, f"{path}: vector {at}") for at, (own, parts) in each)
        made.source = place.source
        return made


@dataclass(frozen=True)
class _Header:
    """The content of a set's file without the tensors."""

    vectors: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class _SavedEdit:
    """An edit in a file, without its tensors."""

    layer: int
    operation: str
    edit: dict[str, Any]


def vector_set(given: "VectorSet | Intervention | Iterable[Intervention]") -> VectorSet:
    """Returns a vector set from a set, one vector, or several vectors.

    Args:
        given: a vector set, a vector or other intervention, or several vectors or interventions.

    Raises:
        SettingsError: there are no vectors, or two vectors have the same name and locale.
        FingerprintError: the vectors belong to different models.
    """
    several = [given] if isinstance(given, Intervention) else given
    made = several if isinstance(several, VectorSet) else VectorSet(several)
    _ = made.fingerprint
    return made


def _packed(vector: Intervention) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns a vector as JSON values and tensors."""
    if isinstance(vector, SteeringVector):
        return vector.to_dict(), vector.tensors
    by_layer = {layer: vector.edit(layer) for layer in vector.layers}
    edits = [{"layer": layer, "operation": edit.operation, "edit": edit.header} for layer, edit in by_layer.items()]
    source = vector.source if isinstance(vector, LayerEdits) else vector.step_label
    own = {"name": vector.name, "locale": vector.locale, "score": vector.score, "notes": dict(vector.notes), "source": source}
    tensors = {f"{layer}.{name}": tensor for layer, edit in by_layer.items() for name, tensor in edit.tensors.items()}
    return {"edits": edits, "fingerprint": vector.fingerprint.to_dict(), **own}, tensors


def _unpacked(header: dict[str, Any], tensors: dict[str, Any], whose: str) -> Intervention:
    """Returns the vector that JSON values and tensors describe."""
    if "edits" not in header:
        return restored(SteeringVector, header, whose, every=True, **{"positive": None, **tensors})
    others = {name: value for name, value in header.items() if name != "edits"}
    edits = {
        saved.layer: restored_edit(
            saved.operation, saved.edit, under(f"{saved.layer}.", tensors), f"{whose}, layer {saved.layer}"
        )
        for saved in parsed(header["edits"], tuple[_SavedEdit, ...], whose)
    }
    return restored(LayerEdits, others, whose, every=True, edits=edits)
