-- Refresh tokens of OAuth 2 that token endpoints gave in the place of those that were written, sealed with the login they belong to.
CREATE TABLE credential_tokens (
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    revision BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (service, name)
);
-- When credentials were used last.
CREATE TABLE credential_uses (
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    used_ms BIGINT NOT NULL,
    PRIMARY KEY (service, name)
);
-- Fingerprint of the master key that the sealed rows were written with; null: it was made before there was one.
ALTER TABLE sealed_check ADD COLUMN key_id TEXT;
