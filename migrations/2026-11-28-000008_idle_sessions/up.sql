-- Live sessions, the one first that was used longest ago: those that were not used for too long end.
CREATE INDEX sessions_by_use ON sessions (last_used) WHERE end_time IS NULL;
