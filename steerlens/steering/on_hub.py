"""The methods of plans and vector sets for the Hugging Face hub. The methods call ``steerlens.hub``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from steerlens.errors import SettingsError
from steerlens.fingerprint import Fingerprint
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.hub import ModelCard, Pushed

PLAN_FILE = "plan.safetensors"
"""The file name of a plan in a repository."""
VECTORS_FILE = "vectors.safetensors"
"""The file name of a set of vectors in a repository."""


class OnHub:
    """Methods that write a plan or a vector set to a folder with a model card, and upload this folder."""

    def save_for_hub(
        self,
        folder: str | Path,
        *,
        license: str,
        base_model: str = "",
        plane: ResultTable | None = None,
        notes: str = "",
        repo_id: str = "user/name",
    ) -> Path:
        """Writes the folder of a repository. The folder contains the safetensors file, a model card (README.md) and, if
        ``plane`` is given, the transfer-localization plane. The method ``load`` reads this folder.

        The card contains the edits by layer, how to use the artifact, the changes of the scores on the plane with their
        intervals, the model's digests and the versions of packages. If the model was loaded from a path on this machine, the
        path is replaced by ``base_model``.

        Args:
            folder: the path of the folder that is written. The folder is made if it does not exist.
            license: the hub's identifier of the licence, such as ``mit`` or ``cc-by-4.0``.
            base_model: the hub's name of the model, such as ``google/gemma-3-270m``; ``""`` uses the model's own name, if
                this name has the form ``user/name``.
            plane: the transfer-localization plane with the effects of the plan, from ``sl.evaluation.plane``. The plane must
                belong to the same model, and must contain the plan.
            notes: your own text for the card, in Markdown.
            repo_id: the name of the repository in the card's example code.

        Returns: The path of the folder.

        Raises:
            SettingsError: there is no licence or no name of a model; the plane belongs to another model or to other plans; or
                the plane does not say to which model and plans it belongs.
            FileError: the folder cannot be written to, or it contains an earlier plane and no plane is given.
        """
        from steerlens.hub import folder_for_hub

        own = _named_for_others(self, base_model)
        folder_for_hub(folder, own.save, _card(own, base_model, license, plane, notes), repo_id)
        return Path(folder)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        license: str,
        base_model: str = "",
        plane: ResultTable | None = None,
        notes: str = "",
        private: bool | None = None,
        token: str | None = None,
        message: str = "",
    ) -> "Pushed":
        """Uploads the result of ``save_for_hub`` to a repository on the Hugging Face hub, as one commit.

        If no plane is given, a plane that was uploaded earlier is removed.

        Args:
            repo_id: the repository, as ``user/name``. The repository is made if it does not exist.
            license: the hub's identifier of the licence, such as ``mit`` or ``cc-by-4.0``.
            base_model: the hub's name of the model; ``""`` uses the model's own name, if this name has the form
                ``user/name``.
            plane: the transfer-localization plane with the effects of the plan (see ``save_for_hub``).
            notes: your own text for the card, in Markdown.
            private: whether a new repository is private; ``None`` uses the default of the account.
            token: the token of an account with write access; ``None`` uses the token that ``hf auth login`` saved.
            message: the message of the commit.

        Returns:
            The repository with its ``revision``. The revision is the commit that other users should load.

        Raises:
            SettingsError: ``repo_id`` is not the name of a repository, or ``save_for_hub`` raises a ``SettingsError``.
            FileError: the hub cannot be reached or refuses the upload.
        """
        from steerlens.hub import folder_for_hub, pushed
        from steerlens.hub.pushing import check_repo

        own = _named_for_others(self, base_model)
        card = _card(own, base_model, license, plane, notes)
        with TemporaryDirectory() as folder:
            names = folder_for_hub(folder, own.save, card, check_repo(repo_id))
            said = message or f"Upload a {card.kind}"
            return pushed(Path(folder), names, repo_id, private=private, token=token, message=said)


def _named_for_others(artifact: Any, base_model: str) -> Any:
    """Returns the artifact with a model name that is valid on other machines."""
    name = artifact.fingerprint.name
    if not _is_path(name):
        return artifact
    from steerlens.steering.interventions import altered
    from steerlens.steering.plans import SteeringPlan
    from steerlens.steering.vector_sets import VectorSet

    known = replace(artifact.fingerprint, name=_base_model(artifact.fingerprint, base_model))
    if isinstance(artifact, SteeringPlan):
        return replace(artifact, fingerprint=known)
    return VectorSet(altered(vector, fingerprint=known) for vector in artifact.values())


def _is_path(name: str) -> bool:
    return not name or name.startswith(("/", "~", ".")) or "\\" in name or name.count("/") > 1 or Path(name).exists()


def _base_model(fingerprint: Fingerprint, given: str) -> str:
    from steerlens.hub.fetching import is_repo

    name = given or fingerprint.name
    if not is_repo(name) or (not given and _is_path(name)):
        raise SettingsError(
            f"base_model={given!r} given for a model called {fingerprint.name!r}: expected the name of the model on the "
            "Hugging Face hub, such as base_model='google/gemma-3-270m'."
        )
    return name


def _card(artifact: Any, base_model: str, license: str, plane: ResultTable | None, notes: str) -> "ModelCard":
    from steerlens.hub import ModelCard
    from steerlens.hub.fetching import is_repo
    from steerlens.models.embedded import EMBEDDED
    from steerlens.steering.plans import SteeringPlan

    name, named = artifact.fingerprint.name, _base_model(artifact.fingerprint, base_model)
    parts = _of_plan(artifact, plane) if isinstance(artifact, SteeringPlan) else _of_vectors(artifact)
    return ModelCard(
        **parts,
        digest=artifact.digest(),
        fingerprint=artifact.fingerprint,
        license=license,
        base_model=named,
        load_name=name if name in EMBEDDED or is_repo(name) else named,
        plane=_plane_for_others(plane, name),
        notes=notes,
    )


def _plane_for_others(plane: ResultTable | None, name: str) -> ResultTable | None:
    """Returns the plane with the model name of the artifact, because the model name of the plane may be a path on this
    machine."""
    if plane is None or "model" not in plane.meta:
        return plane
    return replace(plane, meta={**plane.meta, "model": {**plane.meta["model"], "name": name}})


def _of_plan(plan: Any, plane: ResultTable | None) -> dict[str, Any]:
    shown = None if plane is None else plane.meta.get("methods", {})
    if shown == {}:
        raise SettingsError(
            "the given plane does not say which plans it contains: expected a plane that was made by sl.evaluation.plane."
        )
    if shown is not None and not any(plan.digest()[:12] in said for own in shown.values() for said in own.values()):
        raise SettingsError(
            f"the given plane shows {', '.join(shown)}, but not plan ({plan}): expected a plane on which this plan was measured."
        )
    rows: list[Sequence[Any]] = [[step.label, step.layer, step.edit.operation, step.strength, step.tokens] for step in plan.steps]
    return {
        **{"kind": "steering plan", "file": PLAN_FILE, "class_name": "SteeringPlan", "rows": rows},
        "header": ("vector", "after block", "operation", "strength", "tokens"),
        "usage": ("with artifact.applied(model):", "    print(model.generate('Hello', 20))"),
    }


def _of_vectors(vectors: Any) -> dict[str, Any]:
    rows = [
        [
            *(vector.name, vector.locale, f"{vector.layers[0]} to {vector.layers[-1]}"),
            *(getattr(vector, "n", ""), getattr(vector, "positions", ""), vector.score, getattr(vector, "prompts_sha256", "")),
        ]
        for vector in vectors.values()
    ]
    first = next(iter(vectors.values()))
    return {
        **{"kind": "set of steering vectors", "file": VECTORS_FILE, "class_name": "VectorSet", "rows": rows},
        "header": ("vector", "locale", "after blocks", "pairs", "read at", "meant to raise", "SHA-256 of the prompts"),
        "usage": (
            f"plan = artifact[{(first.name, first.locale)!r}].at({first.layers[len(first.layers) // 2]}, strength=1.0)",
            "with plan.applied(model):",
            "    print(model.generate('Hello', 20))",
        ),
        "languages": tuple(dict.fromkeys(locale.partition("-")[0] for locale in vectors.locales)),
    }
