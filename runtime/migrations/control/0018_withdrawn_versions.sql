-- Versions that the program rolled back by itself, because all their first runs broke. Cleared when somebody activates one again.
ALTER TABLE plugin_versions ADD COLUMN withdrawn_ms INTEGER;
ALTER TABLE plugin_versions ADD COLUMN withdrawn_reason TEXT;
