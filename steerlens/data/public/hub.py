"""Reads the rows of a data set on the Hugging Face hub, or of a local folder with the same layout.

A data set can change while its name stays the same. Give ``revision`` a commit hash from the data set's page, and report the hash
with your results. Remote code is never run.
"""

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

from steerlens.data.public.local import check_card, check_files, json_rows, local_file
from steerlens.errors import DataError, FileError, SettingsError, SteerlensError

REVISIONS: dict[str, tuple[str, str]] = {
    "global-mmlu": ("CohereLabs/Global-MMLU", "main"),
    "global-mmlu-lite": ("CohereLabs/Global-MMLU-Lite", "main"),
    "blend": ("nayeon212/BLEnD", "main"),
    "include": ("CohereLabs/include-base-44", "main"),
    "cultural-bench": ("kellycyy/CulturalBench", "main"),
    "mmlu-prox": ("li-lab/MMLU-ProX", "main"),
    "mmlu-prox-lite": ("li-lab/MMLU-ProX-Lite", "main"),
    "mmmlu": ("openai/MMMLU", "main"),
}
"""The hub id and the default revision of each data set, by name. The revision ``main`` can change, and a commit hash cannot."""
_PROBE_SECONDS = 3.0


class Source(NamedTuple):
    """The source of rows: a hub id at a revision, or a local folder that replaces the hub."""

    id: str
    revision: str = "main"
    path: str | Path | None = None

    def __str__(self) -> str:
        return str(self.path or self.id)

    @property
    def origin(self) -> str:
        """The text in the field ``source`` of the items."""
        return f"{self.id}@{self.revision}" if self.path is None else self.id


def source_of(name: str, revision: str | None, path: str | Path | None) -> Source:
    """Returns the source of a data set by its name.

    Raises:
        FileError: ``path`` does not exist.
    """
    id, default = REVISIONS[name]
    return checked(Source(id, revision or default, path))


def checked(source: Source) -> Source:
    """Returns the source unchanged if its ``path`` exists.

    Raises:
        FileError: the ``path`` of the source does not exist.
    """
    if source.path is not None and not Path(source.path).exists():
        raise FileError(
            f"{source.path} does not exist: expected a folder with the files of {source.id} as they are on the Hugging Face hub."
        )
    return source


def rows(source: Source, config: str | None, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each row together with its place in the data set, for example ``CohereLabs/Global-MMLU/es/test:12``.

    Raises:
        FileError: the hub cannot be reached and the data set is not cached, or the local folder lacks the split.
    """
    place = "/".join(str(part) for part in (source, config, split) if part)
    with _quiet(), readable(source, config, split), _offline(source.path is not None):
        for number, row in enumerate(_loaded(source, config, split), 1):
            yield f"{place}:{number}", row


def _loaded(source: Source, config: str | None, split: str) -> Any:
    import datasets

    if source.path is None:
        with offline_if_unreachable():
            return _built(source, (source.id, config), {"revision": source.revision}, split)
    check_card(Path(source.path))
    found = local_file(Path(source.path), config, split)
    if found is None:
        return _built(source, (str(source.path), config), {}, split)
    kind, files = found
    if kind == "json":
        return json_rows(files)
    settings = {"sep": "\t"} if files[0].endswith(".tsv") else {}
    return _built(source, (kind, None), {"data_files": {split: files}, **settings}, datasets.Split(split))


def _built(source: Source, what: tuple[str, str | None], settings: Mapping[str, Any], split: Any) -> Any:
    """Reads a split. "None" and "NA" in a CSV file are kept as texts, because they can be answers.

    Local files are streamed and not cached. The ``datasets`` library distinguishes cached local files only by their time, so the
    library could return the rows of another file.
    """
    import datasets

    builder = datasets.load_dataset_builder(*what, **settings)
    if hasattr(builder.config, "keep_default_na"):
        builder = datasets.load_dataset_builder(*what, **settings, keep_default_na=False)
    if source.path is not None:
        files = {str(name): list(several) for name, several in (builder.config.data_files or {}).items()}
        check_files(files)
        if all(name.endswith((".json", ".jsonl")) for name in files.get(str(split), [""])):
            return json_rows(files[str(split)])
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare()
    return builder.as_dataset(split=split)


@contextmanager
def readable(source: Source, config: str | None, split: str) -> Iterator[None]:
    """Turns any error that the libraries raise about a data set into a ``FileError`` that says what to do."""
    try:
        yield
    except SteerlensError:
        raise
    except Exception as error:  # five libraries raise many kinds of errors
        where = f"config {config!r}, split {split!r}"
        if source.path is not None:
            message = (
                f"cannot read {source.path} ({where}): {error!s:.500}. Expected the files of {source.id} as they are on the "
                "Hugging Face hub."
            )
        else:
            message = (
                f"cannot read {source.id} ({where}, revision {source.revision!r}) from the Hugging Face hub: {error!s:.500}. "
                f"Without a network, download the data set on another machine (hf download --repo-type dataset {source.id} "
                "--local-dir FOLDER) and give path='FOLDER'."
            )
        raise FileError(message) from error


def need_columns(place: str, row: Mapping[str, Any], columns: tuple[str, ...]) -> None:
    """Raises a ``DataError`` if the first row of a data set lacks columns."""
    missing = [column for column in columns if column not in row]
    if missing:
        raise DataError(
            f"{place}: no column {', '.join(map(repr, missing))}; the columns are {', '.join(map(repr, row))}. Check the "
            "arguments config and revision, or give the names of the columns with steerlens.data.from_hub."
        )


def need_path(data_set: str, path: str | Path | None, where: str) -> Path:
    """Returns the path of a data set that must be downloaded by hand.

    Raises:
        SettingsError: no path was given.
        FileError: the path does not exist.
    """
    if path is None:
        raise SettingsError(
            f"{data_set} cannot be read from the Hugging Face hub. Download the data set with {where}, and give its local "
            "path as path=..."
        )
    return Path(checked(Source(data_set, path=path)).path or "")


@contextmanager
def offline_if_unreachable() -> Iterator[None]:
    """Sets the hub's libraries to offline mode if there is no network, so the libraries use only their cache. Otherwise the
    libraries would try again for half a minute."""
    from huggingface_hub import constants

    with _offline(not constants.HF_HUB_OFFLINE and not _reachable(constants.ENDPOINT)):
        yield


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Sets the hub's libraries to offline mode if ``wanted``. A local folder also needs the offline mode, because the libraries
    otherwise report each load to the hub."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    if wanted:
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _reachable(endpoint: str) -> bool:
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True  # the proxy decides
    address = urlparse(endpoint)
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((address.hostname or "", port), timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Switches off the progress bars of the hub's libraries, because they show one bar for each file."""
    import datasets

    shown, level = datasets.utils.is_progress_bar_enabled(), logging.getLogger("datasets").level
    datasets.utils.disable_progress_bars()
    datasets.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.getLogger("datasets").setLevel(level)
        if shown:
            datasets.utils.enable_progress_bars()
