-- Ids that do not stand at their natural place, written by merges alone: a message that moved, or one
-- that is another one under a lost id.
CREATE TABLE message_aliases (
    message_id BLOB NOT NULL PRIMARY KEY,
    message INTEGER NOT NULL REFERENCES messages (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_aliases_by_message ON message_aliases (message);

-- Ids of accounts whose creation was repeated on both sides of a partition.
CREATE TABLE account_aliases (
    account_id BLOB NOT NULL PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX aliases_by_account ON aliases (account);

-- A session that was renewed on both sides is proved by a token of each.
CREATE TABLE new_session_tokens (
    token_hash BLOB NOT NULL PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (id)
) STRICT, WITHOUT ROWID;
INSERT INTO new_session_tokens SELECT token_hash, session FROM session_tokens;
DROP TABLE session_tokens;
ALTER TABLE new_session_tokens RENAME TO session_tokens;
CREATE INDEX session_tokens_by_session ON session_tokens (session);

-- Tokens that a renewal ended: a merge does not bring them back, and ends them on the other side.
CREATE TABLE ended_tokens (
    token_hash BLOB NOT NULL PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_tokens_by_session ON ended_tokens (session);

-- What these epochs wrote after common_seq, this history lacks. Nothing has written this table before.
DROP TABLE divergence;
CREATE TABLE divergence (
    epoch_number INTEGER NOT NULL,
    epoch_server INTEGER NOT NULL,
    common_seq INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (epoch_number, epoch_server)
) STRICT, WITHOUT ROWID;
