-- What was said over the API about what a plugin may do: JSON as it was written. Holds no secret.

CREATE TABLE plugin_policies (
    name TEXT NOT NULL PRIMARY KEY,
    policy TEXT NOT NULL,
    updated_ms BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);
