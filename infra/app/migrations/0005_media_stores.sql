-- Pictures in object stores. What still has to be copied, and to which store: a row of the outbox is made by the statement
-- that makes the picture's row, so that a restored database knows what it is missing. A picture that was removed leaves a
-- tombstone; its bytes are purged only once no restore can bring the row back.
CREATE TABLE media_outbox (
  media text NOT NULL CHECK (media ~ '^[0-9a-f]{64}$'),
  store text NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  tries integer NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (media, store)
) WITH (fillfactor = 50);
CREATE INDEX media_outbox_due_at ON media_outbox (due_at);

CREATE TABLE media_tombstones (
  id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{64}$'),
  removed_at timestamptz NOT NULL DEFAULT now(),
  due_at timestamptz NOT NULL DEFAULT now(),
  purging_at timestamptz,
  purged_at timestamptz
);
CREATE INDEX media_tombstones_removed_at ON media_tombstones (removed_at);
