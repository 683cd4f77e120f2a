"""The studies of a storage that segbench wrote: counted and deleted."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from segbench.errors import ResultsError
from segbench.sweep.address import StorageAddress
from segbench.sweep.study.mirror import OPENED
from segbench.sweep.study.rows import delete_study, read_rows
from segbench.sweep.study.storage import close_storage, open_storage, refusal


def count_own(address: StorageAddress, *, but: Collection[str] = ()) -> dict[str, int]:
    """Return the studies that segbench wrote -> how many trials they have, in the order of names.

    Args:
        address: The storage.
        but: Names to leave out.

    Raises:
        ResultsError: The storage cannot be used.
    """
    storage = open_storage(address)
    try:
        own = [s for s in storage.get_all_studies() if s.study_name not in but and OPENED in s.user_attrs]
        return {
            s.study_name: len(read_rows(storage, s._study_id))
            for s in sorted(own, key=lambda s: s.study_name)
        }
    except Exception as error:
        raise error if isinstance(error, ResultsError) else refusal(address, error) from None
    finally:
        close_storage(storage)


def delete(address: StorageAddress, names: Sequence[str]) -> None:
    """Delete studies.

    Raises:
        ResultsError: The storage cannot be used.
    """
    if not names:
        return
    storage = open_storage(address)
    try:
        for name in names:
            delete_study(storage, storage.get_study_id_from_name(name))
    except Exception as error:
        raise error if isinstance(error, ResultsError) else refusal(address, error) from None
    finally:
        close_storage(storage)
