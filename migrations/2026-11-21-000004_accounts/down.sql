DROP INDEX sessions_to_forget;
DROP INDEX deleted_messages_by_account;
ALTER TABLE conversations DROP COLUMN forsaken;
ALTER TABLE accounts DROP COLUMN password_position;
