"""Moves the groups of the inbox files into an inbox.db as version 0.1.0 wrote it. usage: FOLDER"""
import pathlib
import sqlite3
import struct
import sys

folder = pathlib.Path(sys.argv[1])
rows = []
for path in sorted((folder / "inbox").glob("*.log")):
    data, at = path.read_bytes(), 0
    while at + 32 <= len(data):
        seq, events, length = struct.unpack_from("<qII", data, at + 16)
        if seq == 0:
            break
        rows.append((seq, events, data[at + 32:at + 32 + length]))
        at += (32 + length + 7) // 8 * 8
    path.unlink()
assert rows
database = sqlite3.connect(folder / "inbox.db")
database.execute("pragma journal_mode = wal")
database.execute("create table inbox (seq bigint not null primary key, events bigint not null, body blob not null)")
database.executemany("insert into inbox values (?, ?, ?)", rows)
database.commit()
