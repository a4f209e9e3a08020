-- What the worker reads (fanout) and writes (timeline, inbox). unread counts delivered rows: delivering twice would show in it.
CREATE TABLE fanout (
  post uuid PRIMARY KEY REFERENCES posts,
  author uuid NOT NULL,
  published_at timestamptz NOT NULL
);

CREATE TABLE timeline (
  account uuid NOT NULL,
  published_at timestamptz NOT NULL,
  post uuid NOT NULL,
  PRIMARY KEY (account, published_at, post)
);

CREATE TABLE inbox (
  account uuid PRIMARY KEY REFERENCES accounts,
  unread bigint NOT NULL
) WITH (fillfactor = 50);
