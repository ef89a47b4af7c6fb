-- Between what is overdue and what is urgent there is a class for deadlines at
-- risk since rule 2. Places that rule 1 gave are counted on, and named so that
-- this is done to none of them twice: a manifest of before may be restored later.
UPDATE study SET class = CASE WHEN class >= 2 THEN class + 1 ELSE class END, rule = 'virtual-arrival/1.1' WHERE rule = 'virtual-arrival/1';

-- The pathway's clock that a study's deadline comes from, and what its orders say
-- that a reader must know; both JSON, empty for none. The codes of an order are
-- what both are read from.
ALTER TABLE study        ADD COLUMN clock   TEXT NOT NULL DEFAULT '';
ALTER TABLE study        ADD COLUMN remarks TEXT NOT NULL DEFAULT '';
ALTER TABLE placed_order ADD COLUMN codes   TEXT NOT NULL DEFAULT '';

-- The waiting line of each modality with its deadlines, and who was read when: the
-- forecast reads both from the indexes alone.
DROP INDEX study_modality;
CREATE INDEX study_modality ON study (waiting, modality, class, place_key, uid, deadline);
CREATE INDEX study_read     ON study (read_at, modality) WHERE read_at > 0;
