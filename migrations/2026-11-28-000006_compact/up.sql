-- Outcomes by the log position that left them: one table that only grows at its end, and one index that grows
-- there too where request ids are ordered by time. (They stood in the order of their ids, with a second index
-- by position.) What is logged and digested of an outcome stays as it was.
--
-- fingerprint: the first 8 bytes, which tell two calls apart well enough.
-- outcome: absent for the message that the entry itself created, as most are. (Its encoding, with which it is
-- compared here: field 3, and the position as a varint.)
CREATE TABLE new_requests (
    position INTEGER NOT NULL PRIMARY KEY,
    request_id BLOB NOT NULL,
    scope BLOB NOT NULL,
    call INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    outcome BLOB,
    time INTEGER NOT NULL
) STRICT;
INSERT INTO new_requests
SELECT position, request_id, scope, call, substr(fingerprint, 1, 8), nullif(outcome, unhex('18' || CASE
    WHEN position < 1 << 7 THEN printf('%02X', position)
    WHEN position < 1 << 14 THEN printf('%02X%02X', position & 127 | 128, position >> 7)
    WHEN position < 1 << 21 THEN printf('%02X%02X%02X',
        position & 127 | 128, position >> 7 & 127 | 128, position >> 14)
    WHEN position < 1 << 28 THEN printf('%02X%02X%02X%02X',
        position & 127 | 128, position >> 7 & 127 | 128, position >> 14 & 127 | 128, position >> 21)
    ELSE printf('%02X%02X%02X%02X%02X',
        position & 127 | 128, position >> 7 & 127 | 128, position >> 14 & 127 | 128,
        position >> 21 & 127 | 128, position >> 28)
    END)), time FROM requests
ORDER BY position;
DROP TABLE requests;
ALTER TABLE new_requests RENAME TO requests;
CREATE INDEX requests_by_id ON requests (request_id);
