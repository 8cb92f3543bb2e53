-- Version 2.

-- Pairs of cards that do not mean the same, whatever a program finds.
CREATE TABLE apart (
    one INTEGER NOT NULL REFERENCES cards,
    other INTEGER NOT NULL REFERENCES cards CHECK (other <> one),
    PRIMARY KEY (one, other)
) STRICT, WITHOUT ROWID;

-- Thresholds for the models at hand, by the models' fingerprints.
CREATE TABLE calibrations (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
