-- What goes out is more than DICOM objects, in more than one language, and has an
-- order. kind of report holds KIND[@SLIDE][:LANGUAGE][!PURPOSE]. seq counts the
-- deliveries of one study to one destination: none is sent before those with a
-- lower one have been taken or given up.
ALTER TABLE report   ADD COLUMN media TEXT   NOT NULL DEFAULT 'application/dicom';
ALTER TABLE report   ADD COLUMN held  TEXT   NOT NULL DEFAULT ''; -- why it must not leave; empty for most
ALTER TABLE delivery ADD COLUMN kind  TEXT   NOT NULL DEFAULT 'sr'; -- as of its report
ALTER TABLE delivery ADD COLUMN media TEXT   NOT NULL DEFAULT 'application/dicom';
ALTER TABLE delivery ADD COLUMN seq   BIGINT NOT NULL DEFAULT 0;
UPDATE delivery SET kind = (SELECT r.kind FROM report r WHERE r.sop_uid = delivery.report_uid);

-- Who sends to a destination, of several processes: two at once could swap what
-- must stay in order.
CREATE TABLE postman (
  destination TEXT PRIMARY KEY,
  holder      TEXT   NOT NULL,
  until       BIGINT NOT NULL
) WITHOUT ROWID;
