-- The manifest "people", see 0014: how each person likes the pages, and what
-- workstations have subscribed to.
INSERT INTO manifest (name, changed, kept)
  SELECT 'people', CASE WHEN (SELECT COUNT(*) FROM preference) + (SELECT COUNT(*) FROM workitem_subscription) > 0 THEN 1 ELSE 0 END, 0;
CREATE TRIGGER manifest_preference AFTER INSERT ON preference BEGIN
  UPDATE manifest SET changed = MAX(changed + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE name = 'people';
END;
CREATE TRIGGER manifest_preferred AFTER UPDATE ON preference WHEN old.body <> new.body BEGIN
  UPDATE manifest SET changed = MAX(changed + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE name = 'people';
END;
CREATE TRIGGER manifest_subscription AFTER INSERT ON workitem_subscription BEGIN
  UPDATE manifest SET changed = MAX(changed + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE name = 'people';
END;
CREATE TRIGGER manifest_subscribed AFTER UPDATE ON workitem_subscription BEGIN
  UPDATE manifest SET changed = MAX(changed + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE name = 'people';
END;
CREATE TRIGGER manifest_unsubscribed AFTER DELETE ON workitem_subscription BEGIN
  UPDATE manifest SET changed = MAX(changed + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE name = 'people';
END;
