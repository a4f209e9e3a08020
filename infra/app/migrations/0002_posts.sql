-- Posts, pictures, follows, likes. client_id is the client's own id and deliberately not unique: a write done twice must show.
CREATE TABLE media (
  id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{64}$'),
  type text NOT NULL,
  size_bytes bigint NOT NULL,
  account uuid NOT NULL REFERENCES accounts,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE posts (
  id uuid PRIMARY KEY,
  author uuid NOT NULL REFERENCES accounts,
  body text NOT NULL,
  media text REFERENCES media,
  client_id text,
  created_at timestamptz NOT NULL,
  publish_at timestamptz,
  published_at timestamptz
);
CREATE INDEX posts_author ON posts (author, published_at);
CREATE INDEX posts_scheduled ON posts (publish_at) WHERE published_at IS NULL;

CREATE TABLE follows (
  follower uuid NOT NULL REFERENCES accounts,
  followed uuid NOT NULL REFERENCES accounts,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (followed, follower)
);
CREATE INDEX follows_follower ON follows (follower);

CREATE TABLE likes (
  post uuid NOT NULL REFERENCES posts,
  account uuid NOT NULL REFERENCES accounts,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (post, account)
);
