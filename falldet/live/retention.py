"""What is deleted from a state folder: by age, then by size; only named files, nothing of open incidents."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from falldet.live.store import Store, utc_text

logger = logging.getLogger(__name__)

FULL_SHARE = 0.9
CLOSED = "SELECT id FROM incidents WHERE closed IS NOT NULL"


def clean(store: Store, now: datetime, keep_clips_days: float, keep_incidents_days: float, max_bytes: float) -> int:
    """Delete what is too old, then the oldest clips and closed incidents while all is too large.

    Args:
        store: database and files.
        now: UTC.
        keep_clips_days: age of clips, days.
        keep_incidents_days: age of closed incidents and of JSON lines, days.
        max_bytes: size of all; cleaning begins at 90 % of it.

    Returns:
        Number of files and incidents deleted.
    """
    old_clips = utc_text(now - timedelta(days=keep_clips_days))
    old = utc_text(now - timedelta(days=keep_incidents_days))
    names = "SELECT path FROM files WHERE (kind = 'clip' AND made < ?) OR (kind != 'clip' AND made < ?)"
    deleted = store.delete_files(store.select(names, old_clips, old))
    deleted += store.delete_incidents(store.select("SELECT id FROM incidents WHERE closed < ?", old))
    store.forget_outages(old)
    while store.size() > FULL_SHARE * max_bytes:
        oldest = f"SELECT path FROM files WHERE incident IS NULL OR incident IN ({CLOSED}) ORDER BY made LIMIT 10"  # noqa: S608
        few = store.delete_files(store.select(oldest))
        few = few or store.delete_incidents(store.select(f"{CLOSED} ORDER BY closed LIMIT 100"))
        if not few:
            logger.warning("%s is larger than state.max_mb, and holds nothing that may be deleted", store.folder)
            break
        deleted += few
    return deleted
