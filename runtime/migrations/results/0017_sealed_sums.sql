-- The SHA-256 of each sealed file, in hex, so that a flipped bit in one is no wrong answer. Files from before have none, and are
-- written anew.

ALTER TABLE fact.sealed_files ADD COLUMN IF NOT EXISTS sha256 VARCHAR;
