-- The rest of each fingerprint is gone: an older program takes a repeat of a call for another one under its id.
-- An outcome that is absent is written out: field 3 of its message, with the position as a varint.
CREATE TABLE old_requests (
    request_id BLOB NOT NULL,
    scope BLOB NOT NULL,
    call INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    outcome BLOB NOT NULL,
    time INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (request_id, scope, call)
) STRICT, WITHOUT ROWID;
INSERT INTO old_requests
SELECT request_id, scope, call, fingerprint, ifnull(outcome, unhex('18' || CASE
    WHEN position < 1 << 7 THEN printf('%02X', position)
    WHEN position < 1 << 14 THEN printf('%02X%02X', position & 127 | 128, position >> 7)
    WHEN position < 1 << 21 THEN printf('%02X%02X%02X',
        position & 127 | 128, position >> 7 & 127 | 128, position >> 14)
    WHEN position < 1 << 28 THEN printf('%02X%02X%02X%02X',
        position & 127 | 128, position >> 7 & 127 | 128, position >> 14 & 127 | 128, position >> 21)
    ELSE printf('%02X%02X%02X%02X%02X',
        position & 127 | 128, position >> 7 & 127 | 128, position >> 14 & 127 | 128,
        position >> 21 & 127 | 128, position >> 28)
    END)), time, position
FROM requests;
DROP TABLE requests;
ALTER TABLE old_requests RENAME TO requests;
CREATE UNIQUE INDEX requests_by_position ON requests (position);
