-- The trial of a version that took the place of one that worked, while it goes on: that version's digest, and its first runs that broke.
ALTER TABLE plugin_activations ADD COLUMN trial_previous TEXT;
ALTER TABLE plugin_activations ADD COLUMN trial_broken INTEGER;
