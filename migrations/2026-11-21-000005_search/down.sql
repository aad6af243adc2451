DROP TRIGGER body_changes_after_delete;
DROP TRIGGER body_changes_after_update;
DROP TABLE body_changes;
