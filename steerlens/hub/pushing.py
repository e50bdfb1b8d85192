"""Uploads a folder to the Hugging Face hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steerlens.errors import FileError, SettingsError
from steerlens.hub.fetching import is_repo
from steerlens.hub.folders import PLANE_FILE


@dataclass(frozen=True)
class Pushed:
    """The repository of an upload, and the revision that the upload made."""

    repo_id: str
    """The name of the repository, as ``user/name``."""
    revision: str
    """The hash of the commit. Give this hash as the revision when you load the artifact."""
    url: str
    """The address of the commit's page on the hub."""

    def __str__(self) -> str:
        return f"{self.repo_id}@{self.revision}"


def check_repo(repo_id: str) -> str:
    """Returns the name of a repository if the name has the right form.

    Args:
        repo_id: the name, as ``user/name``.

    Raises:
        SettingsError: ``repo_id`` has another form.
    """
    if not is_repo(repo_id):
        raise SettingsError(f"repository {repo_id!r} given: expected 'user/name', with only letters, digits, '-', '_' and '.'.")
    return repo_id


def pushed(folder: Path, names: Sequence[str], repo_id: str, *, private: bool | None, token: str | None, message: str) -> Pushed:
    """Uploads some files of a folder as one commit, and makes the repository if it does not exist.

    A plane (a table of measured effects) that is already in the repository belongs to the earlier artifact. If no new plane
    replaces this plane, it is removed.

    Args:
        folder: the folder.
        names: the names of the files that are uploaded. Other files in the folder are not uploaded.
        repo_id: the repository, as ``user/name``.
        private: whether a new repository is private. ``None`` uses the default of the account.
        token: the token of an account with write access. ``None`` uses the token that ``hf auth login`` saved.
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
    except Exception as error:  # an error of the network or the hub, or a missing account
        raise FileError(
            f"{repo_id} cannot be written to the Hugging Face hub ({type(error).__name__}: {error}). Log in with 'hf auth "
            "login', with a token that has write access. Or write the folder with save_for_hub, and upload it yourself."
        ) from error
    return Pushed(name, commit.oid, commit.commit_url)
