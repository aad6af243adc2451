-- How often the account was disabled or enabled again: after an odd number of changes it is disabled. A number,
-- so that two histories agree on the greater one, in whatever order they are merged.
ALTER TABLE accounts ADD COLUMN disabled_changes INTEGER NOT NULL DEFAULT 0;
