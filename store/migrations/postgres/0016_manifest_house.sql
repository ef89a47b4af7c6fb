-- What sqlite/0016_manifest_house.sql says, in PostgreSQL's words.
CREATE TRIGGER manifest_calibration AFTER INSERT ON calibration FOR EACH ROW EXECUTE FUNCTION manifest_house();
CREATE TRIGGER manifest_proposal    AFTER INSERT OR UPDATE ON model_proposal FOR EACH ROW EXECUTE FUNCTION manifest_house();
UPDATE manifest SET changed = changed + 1 WHERE name = 'house';
