-- One row for each write and its answer, made by the same statement as the write. seen counts how often it was asked for.
CREATE TABLE idempotency (
  scope uuid NOT NULL,
  key text NOT NULL,
  digest bytea NOT NULL,
  status smallint NOT NULL,
  body text NOT NULL,
  seen integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (scope, key)
) WITH (fillfactor = 90);
CREATE INDEX idempotency_expires_at ON idempotency (expires_at);
