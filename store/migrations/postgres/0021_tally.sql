-- How many studies and deliveries there are of each status, kept by triggers: to
-- count a million rows whenever a page is shown takes too long. Whoever writes
-- here holds the ledger's lock, so that no two change a number at once.
CREATE TABLE tally (
  what   TEXT   NOT NULL, -- study or delivery
  status TEXT   NOT NULL,
  n      BIGINT NOT NULL,
  PRIMARY KEY (what, status)
);
INSERT INTO tally (what, status, n) SELECT 'study', status, COUNT(*) FROM study GROUP BY status;
INSERT INTO tally (what, status, n) SELECT 'delivery', status, COUNT(*) FROM delivery GROUP BY status;

CREATE FUNCTION tally_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.status = NEW.status THEN
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    UPDATE tally SET n = n - 1 WHERE what = TG_TABLE_NAME AND status = OLD.status;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO tally (what, status, n) VALUES (TG_TABLE_NAME, NEW.status, 1)
      ON CONFLICT (what, status) DO UPDATE SET n = tally.n + 1;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER study_tally AFTER INSERT OR DELETE OR UPDATE OF status ON study FOR EACH ROW EXECUTE FUNCTION tally_rows();
CREATE TRIGGER delivery_tally AFTER INSERT OR DELETE OR UPDATE OF status ON delivery FOR EACH ROW EXECUTE FUNCTION tally_rows();
