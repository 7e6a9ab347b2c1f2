-- The record, schema 2: rollups.

-- How far the ring's rows are in rollups, and which times that is; chunks have what comes after.
ALTER TABLE ring ADD COLUMN rolled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ring ADD COLUMN rolled_from_ns INTEGER;
ALTER TABLE ring ADD COLUMN rolled_to_ns INTEGER;

-- Eight columns of one ring in buckets of one level (1: seconds, 2: minutes, 3: hours) for one stretch of time;
-- `data` as in rollup.py. A stretch that was not over yet is written again.
CREATE TABLE rollup (
    id      INTEGER PRIMARY KEY,
    ring    INTEGER NOT NULL REFERENCES ring,
    level   INTEGER NOT NULL,
    from_ns INTEGER NOT NULL, -- where the stretch begins
    part    INTEGER NOT NULL, -- columns from 8 * part
    data    BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX rollup_by_time ON rollup (ring, level, from_ns, part);
CREATE INDEX rollup_by_level ON rollup (level);
