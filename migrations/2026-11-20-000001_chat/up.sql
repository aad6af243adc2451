-- "chnw": tells this database from others.
PRAGMA application_id = 1667788407;

-- Integer keys are the log position that created the row, so they are equal on every server.

CREATE TABLE accounts (
    id INTEGER NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL UNIQUE,
    username TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    password_version INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX accounts_by_username ON accounts (username) WHERE deleted = 0;

CREATE TABLE aliases (
    old_name TEXT NOT NULL,
    account INTEGER NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (old_name, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id INTEGER NOT NULL PRIMARY KEY,
    session_id BLOB NOT NULL UNIQUE,
    account INTEGER NOT NULL REFERENCES accounts (id),
    device_name TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    end_time INTEGER
) STRICT;
CREATE INDEX sessions_by_account ON sessions (account);

CREATE TABLE session_tokens (
    token_hash BLOB NOT NULL PRIMARY KEY,
    session INTEGER NOT NULL UNIQUE REFERENCES sessions (id)
) STRICT, WITHOUT ROWID;

-- kind 1: direct, keyed by the ordered pair of accounts; kind 2: room, keyed by its name.
CREATE TABLE conversations (
    id INTEGER NOT NULL PRIMARY KEY,
    kind INTEGER NOT NULL,
    low_account INTEGER REFERENCES accounts (id),
    high_account INTEGER REFERENCES accounts (id),
    name TEXT,
    topic TEXT NOT NULL DEFAULT '',
    private INTEGER NOT NULL DEFAULT 0,
    owner INTEGER REFERENCES accounts (id),
    create_time INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    last_seq INTEGER NOT NULL,
    last_position INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX conversations_by_pair ON conversations (low_account, high_account) WHERE kind = 1;
CREATE UNIQUE INDEX conversations_by_room ON conversations (name) WHERE kind = 2 AND deleted = 0;

-- unread = last_seq - read_seq - own_after - gone_after: a send touches its sender's row only.
-- own_after: own messages after read_seq; gone_after: others' that are deleted or hidden.
CREATE TABLE members (
    account INTEGER NOT NULL REFERENCES accounts (id),
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    joined_seq INTEGER NOT NULL,
    join_time INTEGER NOT NULL,
    read_seq INTEGER NOT NULL,
    read_position INTEGER NOT NULL,
    own_after INTEGER NOT NULL,
    gone_after INTEGER NOT NULL,
    mentions_after INTEGER NOT NULL,
    PRIMARY KEY (account, conversation)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_conversation ON members (conversation);

CREATE TABLE messages (
    id INTEGER NOT NULL PRIMARY KEY,
    message_id BLOB NOT NULL,
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    seq INTEGER NOT NULL,
    sender INTEGER NOT NULL REFERENCES accounts (id),
    body TEXT NOT NULL,
    reply_to BLOB,
    create_time INTEGER NOT NULL,
    edit_time INTEGER,
    received_time INTEGER,
    deleted INTEGER NOT NULL DEFAULT 0,
    change_position INTEGER
) STRICT;
CREATE UNIQUE INDEX messages_by_seq ON messages (conversation, seq);

-- The newest change of an old message, and what viewers removed: what a replay needs beside new messages.
CREATE TABLE changes (
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    position INTEGER NOT NULL,
    message INTEGER NOT NULL REFERENCES messages (id),
    viewer INTEGER REFERENCES accounts (id),
    PRIMARY KEY (conversation, position, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE hidden (
    account INTEGER NOT NULL REFERENCES accounts (id),
    message INTEGER NOT NULL REFERENCES messages (id),
    PRIMARY KEY (account, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE deleted_messages (
    message INTEGER NOT NULL PRIMARY KEY REFERENCES messages (id),
    body TEXT,
    deleted_by INTEGER NOT NULL REFERENCES accounts (id),
    delete_time INTEGER NOT NULL
) STRICT;
CREATE INDEX deleted_messages_to_purge ON deleted_messages (delete_time) WHERE body IS NOT NULL;

-- scope: the folded username for calls that begin a session, the account's id for all others.
CREATE TABLE requests (
    request_id BLOB NOT NULL,
    scope BLOB NOT NULL,
    call INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    outcome BLOB NOT NULL,
    time INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (request_id, scope, call)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX requests_by_position ON requests (position);

CREATE TABLE divergence (
    position INTEGER NOT NULL PRIMARY KEY,
    epoch_number INTEGER NOT NULL,
    epoch_server INTEGER NOT NULL,
    common_seq INTEGER NOT NULL
) STRICT;

CREATE TABLE log (
    seq INTEGER NOT NULL PRIMARY KEY,
    epoch_number INTEGER NOT NULL,
    epoch_server INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    payload BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;

-- Kept when the log is trimmed.
CREATE TABLE epochs (
    first_seq INTEGER NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    server INTEGER NOT NULL
) STRICT;

-- Kept when the log is trimmed.
CREATE TABLE views (
    seq INTEGER NOT NULL PRIMARY KEY,
    payload BLOB NOT NULL
) STRICT;

-- One row, from the first entry on.
CREATE TABLE meta (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    lineage BLOB NOT NULL,
    digest BLOB NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    last_epoch_number INTEGER NOT NULL,
    last_epoch_server INTEGER NOT NULL,
    last_hash BLOB NOT NULL
) STRICT;
