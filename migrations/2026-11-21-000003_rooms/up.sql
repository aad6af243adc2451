-- room_id: names a room for ever; its name is free again once it is deleted.
-- open_seq: who joins a public room sees what came after it: 0, or where it was private last.
-- room_position: the log position of the newest change of topic, privacy or owner.
-- purged_seq: up to where the messages of a deleted room lost their bodies.
ALTER TABLE conversations ADD COLUMN room_id BLOB;
ALTER TABLE conversations ADD COLUMN open_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN room_position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN delete_time INTEGER;
ALTER TABLE conversations ADD COLUMN purged_seq INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX conversations_by_room_id ON conversations (room_id) WHERE room_id IS NOT NULL;
CREATE INDEX conversations_by_room_position ON conversations (room_position) WHERE kind = 2;
CREATE INDEX conversations_to_purge ON conversations (delete_time) WHERE deleted = 1 AND purged_seq < last_seq;

-- join_position: what happened in a room before it is not told to the member.
ALTER TABLE members ADD COLUMN join_position INTEGER NOT NULL DEFAULT 0;

-- The log position of the newest edit.
ALTER TABLE messages ADD COLUMN edit_position INTEGER;

-- Ids of rooms whose creation was repeated on both sides of a partition; written by merges alone.
CREATE TABLE room_aliases (
    room_id BLOB NOT NULL PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations (id)
) STRICT, WITHOUT ROWID;

-- The newest coming or going of each account in each room: what a replay tells, to whoever left as well.
CREATE TABLE membership_changes (
    account INTEGER NOT NULL REFERENCES accounts (id),
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    position INTEGER NOT NULL,
    member INTEGER NOT NULL,
    PRIMARY KEY (account, conversation)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_changes_by_conversation ON membership_changes (conversation, position);
CREATE INDEX membership_changes_by_position ON membership_changes (position);

-- Whom a message mentions; its author is never among them. In the order in which a reader counts them.
CREATE TABLE mentions (
    account INTEGER NOT NULL REFERENCES accounts (id),
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    seq INTEGER NOT NULL,
    message INTEGER NOT NULL REFERENCES messages (id),
    PRIMARY KEY (account, conversation, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX mentions_by_message ON mentions (message);
