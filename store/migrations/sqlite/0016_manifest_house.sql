-- The manifest of the house, of 0014, holds calibrations and proposals too.
CREATE TRIGGER manifest_calibration AFTER INSERT ON calibration BEGIN
  UPDATE manifest SET changed = MAX(changed + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE name = 'house';
END;
CREATE TRIGGER manifest_proposal AFTER INSERT ON model_proposal BEGIN
  UPDATE manifest SET changed = MAX(changed + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE name = 'house';
END;
CREATE TRIGGER manifest_proposed AFTER UPDATE ON model_proposal BEGIN
  UPDATE manifest SET changed = MAX(changed + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE name = 'house';
END;
UPDATE manifest SET changed = changed + 1 WHERE name = 'house';
