-- What a worker tells of itself, in JSON.
ALTER TABLE worker ADD COLUMN told TEXT NOT NULL DEFAULT '';
