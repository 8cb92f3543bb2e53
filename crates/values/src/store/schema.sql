-- Version 1. Names are kept once and pointed to by number: a vote takes some ten bytes.

CREATE TABLE cards (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    merged_into INTEGER REFERENCES cards CHECK (merged_into <> id)
) STRICT;

CREATE TABLE contexts (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE voters (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, crowd TEXT) STRICT;

CREATE TABLE stories (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL) STRICT;

-- Edges of imported graphs.
CREATE TABLE edges (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES cards,
    wiser INTEGER NOT NULL REFERENCES cards,
    body TEXT NOT NULL,
    UNIQUE (source, wiser)
) STRICT;

-- Fields of imported graphs that are none of the above.
CREATE TABLE extra (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;

-- The log. 0: it is no upgrade, 1: it is one, 2: not sure.
CREATE TABLE votes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    voter INTEGER NOT NULL REFERENCES voters,
    source INTEGER NOT NULL REFERENCES cards,
    wiser INTEGER NOT NULL REFERENCES cards CHECK (wiser <> source),
    context INTEGER NOT NULL REFERENCES contexts,
    answer INTEGER NOT NULL CHECK (answer IN (0, 1, 2))
) STRICT;

CREATE TRIGGER votes_are_not_changed BEFORE UPDATE ON votes BEGIN SELECT RAISE(ABORT, 'votes are only ever added'); END;
CREATE TRIGGER votes_are_not_deleted BEFORE DELETE ON votes BEGIN SELECT RAISE(ABORT, 'votes are only ever added'); END;

-- Derived from the log: the vote that counts, the last one, for every question that somebody answered.
CREATE TABLE answers (
    voter INTEGER NOT NULL,
    source INTEGER NOT NULL,
    wiser INTEGER NOT NULL,
    context INTEGER NOT NULL,
    vote INTEGER NOT NULL,
    PRIMARY KEY (voter, source, wiser, context)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER the_last_answer_counts AFTER INSERT ON votes BEGIN
    INSERT OR REPLACE INTO answers VALUES (NEW.voter, NEW.source, NEW.wiser, NEW.context, NEW.id);
END;

-- Conversations. Deleting one overwrites its pages.
CREATE TABLE transcripts (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
