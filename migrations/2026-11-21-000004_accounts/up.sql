-- The log position of the newest change of the password that this history made itself; 0 for none.
ALTER TABLE accounts ADD COLUMN password_position INTEGER NOT NULL DEFAULT 0;

-- The room was closed because its owner's account was deleted and nobody else was in it.
ALTER TABLE conversations ADD COLUMN forsaken INTEGER NOT NULL DEFAULT 0;

-- What an account deleted goes with it.
CREATE INDEX deleted_messages_by_account ON deleted_messages (deleted_by) WHERE body IS NOT NULL;

CREATE INDEX sessions_to_forget ON sessions (end_time) WHERE end_time IS NOT NULL;
