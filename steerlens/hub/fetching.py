"""Finds files on the Hugging Face hub at a fixed revision, and files in folders with the layout of the hub."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steerlens.errors import FileError, SettingsError

_log = logging.getLogger(__name__)
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Found:
    """The location of an artifact."""

    path: Path
    """The path of the file on this machine."""
    source: str = ""
    """The repository and the commit of the file, as ``user/name@commit``. The text is ``""`` for a file on this machine."""


def is_repo(given: Any) -> bool:
    """Returns whether an argument has the form of a repository's name, ``user/name``.

    Args:
        given: the user's argument. A path object is never a repository's name.
    """
    return isinstance(given, str) and bool(_REPO.fullmatch(given)) and ".." not in given and not given.endswith(SUFFIX)


def found(given: str | Path, file: str, revision: str | None = None) -> Found:
    """Returns the location of an artifact's file. The file is downloaded from the hub if necessary.

    A file or folder on this machine is preferred to a repository with the same name, unless a revision is given.

    Args:
        given: a file, a folder with the layout of a repository, or a repository of the hub as ``user/name``.
        file: the name of the artifact's file in a folder or repository. No other file is read.
        revision: a commit, branch or tag of a repository. ``None`` reads the main branch, and the commit is logged.

    Raises:
        FileError: the repository, the revision or the file cannot be read, or the file is a link that points outside its folder.
        SettingsError: the revision is not valid, or a revision is given for a file or folder.
    """
    if revision is None and Path(given).is_dir():
        return Found(_inside(Path(given), file))
    if revision is None and (Path(given).exists() or not is_repo(given)):
        return Found(Path(given))
    if not is_repo(given):
        raise SettingsError(
            f"revision {revision!r} given for {str(given)!r}: expected a repository of the Hugging Face hub, such as 'user/name'."
        )
    if revision is not None and (not isinstance(revision, str) or not _REVISION.fullmatch(revision) or ".." in revision):
        raise SettingsError(f"revision {revision!r} given: expected a commit, a branch or a tag.")
    folder = _snapshot(str(given), file, revision)
    if not _COMMIT.fullmatch(folder.name) or (revision and _COMMIT.fullmatch(revision) and folder.name != revision):
        raise FileError(
            f"{given} was downloaded to {folder}, which is not the folder of the commit {revision or 'of the main branch'}. "
            "Remove the downloaded folder, and repeat the call."
        )
    path = _inside(folder, file)
    if revision is None or not _COMMIT.fullmatch(revision):
        _log.warning(
            "%s was read at commit %s. To read the same version again, give revision=%r.", given, folder.name, folder.name
        )
    return Found(path, f"{given}@{folder.name}")


def _snapshot(repo_id: str, file: str, revision: str | None) -> Path:
    """Returns the folder of one commit in the hub's cache, with the requested file. No other file is downloaded."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=[file], library_name="steerlens"))
    except Exception as error:  # an error of the network or the hub, or a missing file in the cache
        raise FileError(
            f"{repo_id} is not a file on this machine and cannot be read from the Hugging Face hub at revision "
            f"{revision or 'main'} ({type(error).__name__}: {error}). Check the name and the network. For a private "
            "repository, log in with 'hf auth login'."
        ) from error


def _inside(folder: Path, file: str) -> Path:
    """Returns the path of a file in a folder. The file must be inside the folder or, in the hub's cache, in the folder of its
    repository."""
    path, root = folder / file, folder.resolve()
    if not path.is_file():
        raise FileError(f"{folder} contains no {file}: expected a folder or a repository that save_for_hub or push_to_hub wrote.")
    own = root.parent.parent if root.parent.name == "snapshots" else root
    if own not in path.resolve().parents:
        raise FileError(f"{path} is a link to {path.resolve()}, which is outside this folder: expected a file in this folder.")
    return path
