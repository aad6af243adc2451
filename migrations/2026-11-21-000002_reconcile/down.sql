DROP TABLE divergence;
CREATE TABLE divergence (
    position INTEGER NOT NULL PRIMARY KEY,
    epoch_number INTEGER NOT NULL,
    epoch_server INTEGER NOT NULL,
    common_seq INTEGER NOT NULL
) STRICT;

DROP TABLE ended_tokens;

CREATE TABLE old_session_tokens (
    token_hash BLOB NOT NULL PRIMARY KEY,
    session INTEGER NOT NULL UNIQUE REFERENCES sessions (id)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO old_session_tokens SELECT token_hash, session FROM session_tokens;
DROP TABLE session_tokens;
ALTER TABLE old_session_tokens RENAME TO session_tokens;

DROP INDEX aliases_by_account;
DROP TABLE account_aliases;
DROP TABLE message_aliases;
