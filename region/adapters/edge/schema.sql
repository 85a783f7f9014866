-- What the edges' bundle is made of. Tombstones stay, so that a late task brings nothing back.
CREATE TABLE IF NOT EXISTS policies (
    name       TEXT    PRIMARY KEY,
    generation INTEGER NOT NULL,
    body       BLOB    NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS tenants (
    name       TEXT    PRIMARY KEY,
    generation INTEGER NOT NULL,
    killed     INTEGER NOT NULL
) WITHOUT ROWID;
