DROP INDEX sessions_by_use;
