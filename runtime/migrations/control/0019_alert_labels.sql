-- JSON: the labels that an alert was given at its last transition, each name with its values. None: the alert is from before
-- labels were kept.
ALTER TABLE alerts ADD COLUMN labels TEXT;
