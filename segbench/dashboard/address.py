"""Where the studies are: a journal file, an SQLite file or a database server. Needs no Optuna."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from segbench.errors import ResultsError, message
from segbench.store.layout import ResultsFolder

VARIABLE: Final = "SEGBENCH_STORAGE"
"""Environment variable for `--storage`; other users do not see a password in it."""

_FORMS: Final = ("sqlite:///FILE", "postgresql+psycopg://USER@HOST/DATABASE", "journal:///FILE", "FILE.log")
_JOURNALS: Final = (".log", ".journal")
_URL: Final = re.compile(r"([A-Za-z][\w+.-]*)://(.*)", re.DOTALL)
_PASSWORD: Final = re.compile(r"\A([^:/@]*):(.*)@", re.DOTALL)
"""Up to the last `@`, so that a password that should have been quoted is hidden too."""

_SECRETS: Final = re.compile(r"(?i)([?&][^=&#]*(?:password|passwd|passfile|secret|token)[^=&#]*=)([^&#]*)")


class Kind(StrEnum):
    """How a storage is kept."""

    SQLITE = "sqlite"
    SERVER = "server"
    JOURNAL = "journal"


@dataclass(frozen=True, kw_only=True)
class StorageAddress:
    """A storage; prints itself without its password."""

    kind: Kind
    url: str = field(repr=False)
    """What SQLAlchemy opens; the path of a journal."""
    path: Path | None
    """The file; None for a server."""
    is_named: bool
    """Whether the user named it; then it must answer before work starts."""

    @property
    def shown(self) -> str:
        """The address without a password, for messages."""
        return self.path.name if self.path is not None and not self.is_named else redact(self.url)

    def clean(self, text: str) -> str:
        """Return a driver's message without the password."""
        for secret in _secrets_of(self.url):
            for form in {secret, unquote(secret)}:
                text = text.replace(form, "***")
        return text


def default_address(results: Path) -> StorageAddress:
    """Return the journal under `results/`."""
    path = ResultsFolder(results).study
    return StorageAddress(kind=Kind.JOURNAL, url=str(path), path=path, is_named=False)


def find_address(asked: str | None, results: Path) -> StorageAddress:
    """Return the storage of `--storage`, or the default.

    `journal:///PATH` and a path that ends in `.log` or `.journal` are journal files; `postgresql://` means
    the driver of the extra `postgres`.

    Raises:
        ResultsError: It is none of the known forms.
    """
    if not asked:
        return default_address(results)
    parts = _URL.fullmatch(asked)
    if parts is None:
        if not asked.endswith(_JOURNALS):
            raise _unknown(asked)
        return _journal(Path(asked).expanduser())
    scheme, rest = parts.group(1).lower(), parts.group(2)
    if scheme == "journal":
        if not rest.startswith("/") or rest.endswith("/"):
            raise ResultsError(
                message("--storage", "a journal is named by its whole path", got=asked, known=_FORMS[2:])
            )
        return _journal(Path("/" + rest.lstrip("/")))
    if scheme.split("+")[0] == "sqlite":
        return _sqlite(asked, rest)
    if scheme in ("postgresql", "postgres"):
        asked = f"postgresql+psycopg://{rest}"
    if not rest.strip("/"):
        raise _unknown(asked)
    return StorageAddress(kind=Kind.SERVER, url=asked, path=None, is_named=True)


def redact(url: str) -> str:
    """Return a URL with `***` for its password and for every value whose key says that it is secret."""
    parts = _URL.fullmatch(url)
    if parts is None:
        return url
    return f"{parts.group(1)}://" + _SECRETS.sub(r"\1***", _PASSWORD.sub(r"\1:***@", parts.group(2)))


def _secrets_of(url: str) -> set[str]:
    parts = _URL.fullmatch(url)
    if parts is None:
        return set()
    found = {match.group(2) for match in _SECRETS.finditer(parts.group(2))}
    password = _PASSWORD.search(parts.group(2))
    return {secret for secret in {*found, password.group(2) if password else ""} if secret}


def _journal(path: Path) -> StorageAddress:
    path = path.absolute()
    return StorageAddress(kind=Kind.JOURNAL, url=str(path), path=path, is_named=True)


def _sqlite(asked: str, rest: str) -> StorageAddress:
    file = unquote(rest.partition("?")[0]).removeprefix("/")
    if file in ("", ":memory:"):
        raise ResultsError(
            message("--storage", "a database in memory can be seen by nobody else", got=asked, known=_FORMS)
        )
    path = None if file.startswith("file:") else Path(file).absolute()
    return StorageAddress(kind=Kind.SQLITE, url=asked, path=path, is_named=True)


def _unknown(asked: str) -> ResultsError:
    return ResultsError(message("--storage", "no such kind of storage", got=redact(asked), known=_FORMS))
