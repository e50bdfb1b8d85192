"""The upload of a folder to the Hugging Face hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steerlens.errors import FileError, SettingsError
from steerlens.hub.fetching import is_repo
from steerlens.hub.folders import PLANE_FILE


@dataclass(frozen=True)
class Pushed:
    """The uploaded repository, and its revision."""

    repo_id: str
    """The repository, as ``user/name``."""
    revision: str
    """The commit. Give it as the revision when you load the artifact."""
    url: str
    """The commit's page."""

    def __str__(self) -> str:
        return f"{self.repo_id}@{self.revision}"


def check_repo(repo_id: str) -> str:
    """Returns the name of a repository after a check.

    Args:
        repo_id: the name, as ``user/name``.

    Raises:
        SettingsError: it has another form.
    """
    if not is_repo(repo_id):
        raise SettingsError(f"repository {repo_id!r} given: expected 'user/name', with only letters, digits, '-', '_' and '.'.")
    return repo_id


def pushed(folder: Path, names: Sequence[str], repo_id: str, *, private: bool | None, token: str | None, message: str) -> Pushed:
    """Uploads some files of a folder as one commit, and makes the repository if it does not exist.

    If the repository contains a plane and no new plane replaces it, the plane is removed, because it belongs to the earlier
    artifact.

    Args:
        folder: the folder.
        names: the files that are uploaded; no other file is.
        repo_id: the repository, as ``user/name``.
        private: whether a new repository is private; the account's default for ``None``.
        token: the token of an account with write access; ``None`` uses the token that ``hf auth login`` saved.
        message: the message of the commit.

    Raises:
        SettingsError: ``repo_id`` is not the name of a repository.
        FileError: the hub cannot be reached or refuses the upload.
    """
    from huggingface_hub import HfApi

    api, name = HfApi(token=token, library_name="steerlens"), check_repo(repo_id)
    try:
        api.create_repo(name, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            commit_message=message,
            allow_patterns=[*names],
            delete_patterns=[PLANE_FILE],
        )
    except Exception as error:  # of the network, of the hub, of a missing account
        raise FileError(
            f"{repo_id} cannot be written to the Hugging Face hub ({type(error).__name__}: {error}). Log in with 'hf auth "
            "login', with a token that has write access. Or write the folder with save_for_hub, and upload it yourself."
        ) from error
    return Pushed(name, commit.oid, commit.commit_url)
