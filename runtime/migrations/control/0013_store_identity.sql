-- Which store this is, and the number of its last commit. Both are kept in a file beside the store as well, so that a store
-- that lost its content, or its last commits, is noticed at the next start.
CREATE TABLE store_identity (
    id INTEGER NOT NULL PRIMARY KEY,
    identity TEXT NOT NULL,
    commits BIGINT NOT NULL
);
INSERT INTO store_identity (id, identity, commits) VALUES (1, lower(hex(randomblob(16))), 0);
