-- How many studies and deliveries there are of each status, kept by triggers: to
-- count a million rows whenever a page is shown takes too long.
CREATE TABLE tally (
  what   TEXT   NOT NULL, -- study or delivery
  status TEXT   NOT NULL,
  n      BIGINT NOT NULL,
  PRIMARY KEY (what, status)
) WITHOUT ROWID;
INSERT INTO tally (what, status, n) SELECT 'study', status, COUNT(*) FROM study GROUP BY status;
INSERT INTO tally (what, status, n) SELECT 'delivery', status, COUNT(*) FROM delivery GROUP BY status;

CREATE TRIGGER study_tally_comes AFTER INSERT ON study BEGIN
  INSERT INTO tally (what, status, n) VALUES ('study', new.status, 1) ON CONFLICT (what, status) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER study_tally_goes AFTER DELETE ON study BEGIN
  UPDATE tally SET n = n - 1 WHERE what = 'study' AND status = old.status;
END;
CREATE TRIGGER study_tally_changes AFTER UPDATE OF status ON study WHEN old.status <> new.status BEGIN
  UPDATE tally SET n = n - 1 WHERE what = 'study' AND status = old.status;
  INSERT INTO tally (what, status, n) VALUES ('study', new.status, 1) ON CONFLICT (what, status) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER delivery_tally_comes AFTER INSERT ON delivery BEGIN
  INSERT INTO tally (what, status, n) VALUES ('delivery', new.status, 1) ON CONFLICT (what, status) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER delivery_tally_goes AFTER DELETE ON delivery BEGIN
  UPDATE tally SET n = n - 1 WHERE what = 'delivery' AND status = old.status;
END;
CREATE TRIGGER delivery_tally_changes AFTER UPDATE OF status ON delivery WHEN old.status <> new.status BEGIN
  UPDATE tally SET n = n - 1 WHERE what = 'delivery' AND status = old.status;
  INSERT INTO tally (what, status, n) VALUES ('delivery', new.status, 1) ON CONFLICT (what, status) DO UPDATE SET n = n + 1;
END;
