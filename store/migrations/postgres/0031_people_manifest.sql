-- What sqlite/0031_people_manifest.sql says, in PostgreSQL's words.
INSERT INTO manifest (name, changed, kept)
  SELECT 'people', CASE WHEN (SELECT COUNT(*) FROM preference) + (SELECT COUNT(*) FROM workitem_subscription) > 0 THEN 1 ELSE 0 END, 0;
CREATE FUNCTION manifest_people() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM manifest_of('people'); RETURN NULL;
END $$;
CREATE TRIGGER manifest_preference   AFTER INSERT ON preference FOR EACH ROW EXECUTE FUNCTION manifest_people();
CREATE TRIGGER manifest_preferred    AFTER UPDATE ON preference FOR EACH ROW WHEN (old.body <> new.body) EXECUTE FUNCTION manifest_people();
CREATE TRIGGER manifest_subscription AFTER INSERT OR UPDATE OR DELETE ON workitem_subscription FOR EACH ROW EXECUTE FUNCTION manifest_people();
