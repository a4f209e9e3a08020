-- Accounts and sessions. A token is stored as its SHA-256 only.
CREATE TABLE accounts (
  id uuid PRIMARY KEY,
  name text NOT NULL CONSTRAINT accounts_name UNIQUE CHECK (name ~ '^[a-z0-9_]{3,30}$'),
  display_name text NOT NULL,
  salt bytea NOT NULL,
  verifier bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
  id uuid PRIMARY KEY,
  account uuid NOT NULL REFERENCES accounts,
  token_sha256 bytea NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  ended_at timestamptz
);
CREATE INDEX sessions_expires_at ON sessions (expires_at);
