-- The newest change of a body, edits, deletions and purges alike: what the search index reads again. It
-- belongs to the index, not to the chat: the digest does not cover it, and nothing else reads it.
-- Triggers write it, so that no statement that touches a body can forget to. A send costs nothing.
CREATE TABLE body_changes (
    position INTEGER NOT NULL,
    message INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (position, message)
) STRICT, WITHOUT ROWID;

-- The entry that is being applied is the newest of the log.
CREATE TRIGGER body_changes_after_update AFTER UPDATE OF body, deleted ON messages
WHEN NEW.body IS NOT OLD.body OR NEW.deleted IS NOT OLD.deleted
BEGIN
    INSERT OR REPLACE INTO body_changes (position, message)
    VALUES ((SELECT ifnull(max(seq), 0) FROM log), NEW.id);
END;
CREATE TRIGGER body_changes_after_delete AFTER DELETE ON messages
BEGIN
    INSERT OR REPLACE INTO body_changes (position, message)
    VALUES ((SELECT ifnull(max(seq), 0) FROM log), OLD.id);
END;
