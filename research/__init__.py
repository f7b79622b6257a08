"""Studies: `python -m research.ROOM.STUDY`; README.md has the table."""
