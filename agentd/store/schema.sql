-- The record, schema 1. `migrate.py` applies it; `writer.py` writes, `query.py` reads.
-- Times are CLOCK_BOOTTIME in nanoseconds and compare only within one boot. UTC is a mapping kept beside them.

CREATE TABLE boot (
    id      INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL UNIQUE
) STRICT;

-- UTC = time + offset. CLOCK_BOOTTIME is slewed together with UTC, so the offset changes in steps only:
-- when somebody or NTP sets the clock. The newest offset of a boot holds for the whole of it, and so
-- what was recorded before the first synchronisation is right afterwards.
CREATE TABLE utc (
    boot      INTEGER NOT NULL REFERENCES boot,
    time_ns   INTEGER NOT NULL,
    offset_ns INTEGER NOT NULL,
    PRIMARY KEY (boot, time_ns)
) STRICT, WITHOUT ROWID;

-- What a ring's rows hold: the ring's own layout as JSON, without what changes at each start.
CREATE TABLE layout (
    id     INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    body   TEXT NOT NULL
) STRICT;

-- One worker's ring, and how far it was recorded. The cursor commits together with the chunks.
-- A runtime directory that was emptied within one boot brings the same generation again: a new row here.
CREATE TABLE ring (
    id         INTEGER PRIMARY KEY,
    boot       INTEGER NOT NULL REFERENCES boot,
    loop       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    layout     INTEGER NOT NULL REFERENCES layout,
    position   INTEGER NOT NULL,          -- index of the next row to take
    last_crc   INTEGER NOT NULL,          -- CRC-32 of the last row taken: tells another ring of the same name
    lost_rows  INTEGER NOT NULL DEFAULT 0 -- overwritten before they were read
) STRICT;

CREATE INDEX ring_by_name ON ring (boot, loop, generation);

-- Consecutive rows of one ring; `data` as in chunk.py.
CREATE TABLE chunk (
    id      INTEGER PRIMARY KEY,
    ring    INTEGER NOT NULL REFERENCES ring,
    first   INTEGER NOT NULL, -- index of its first row in the ring
    rows    INTEGER NOT NULL,
    from_ns INTEGER NOT NULL, -- when the first row's tick began
    to_ns   INTEGER NOT NULL, -- and the last one's
    data    BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX chunk_by_position ON chunk (ring, first);
CREATE INDEX chunk_by_time ON chunk (ring, from_ns, to_ns);

CREATE TABLE event (
    id       INTEGER PRIMARY KEY,
    boot     INTEGER NOT NULL REFERENCES boot,
    time_ns  INTEGER NOT NULL,
    utc_ns   INTEGER NOT NULL, -- as the clock said then; reading uses the boot's mapping where there is one
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    severity TEXT NOT NULL,
    message  TEXT NOT NULL,
    data     TEXT NOT NULL    -- JSON object
) STRICT;
