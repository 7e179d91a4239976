-- +goose Up
-- Times are microseconds since 1970, in UTC: the same number as in SQLite, so that
-- one set of queries serves both.
CREATE TABLE users (
    -- A random number: a token names its user by it, so a number must never come
    -- to mean somebody else, not even after an older backup was restored.
    id            BIGINT PRIMARY KEY,
    username      TEXT    NOT NULL UNIQUE,
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL UNIQUE, -- the email in lower case
    password_hash TEXT    NOT NULL,
    bio           TEXT,
    image         TEXT,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE follows (
    follower_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    followed_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (follower_id, followed_id)
);
CREATE INDEX follows_followed ON follows (followed_id);

CREATE TABLE articles (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author_id       BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    -- How many rows of favorites there are, kept by the same transactions.
    favorites_count BIGINT NOT NULL DEFAULT 0,
    slug            TEXT    NOT NULL UNIQUE,
    title           TEXT    NOT NULL,
    -- The tags as a JSON array in the order they were given. article_tags
    -- says the same for finding articles by tag.
    tag_list        TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    -- PostgreSQL keeps a long one apart from the row, where a list never reads it.
    body            TEXT    NOT NULL
);
CREATE INDEX articles_newest ON articles (created_at, id);
CREATE INDEX articles_author_newest ON articles (author_id, created_at, id);

CREATE TABLE tags (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE article_tags (
    tag_id     BIGINT NOT NULL REFERENCES tags (id),
    article_id BIGINT NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
    PRIMARY KEY (tag_id, article_id)
);
CREATE INDEX article_tags_article ON article_tags (article_id);

CREATE TABLE favorites (
    user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    article_id BIGINT NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, article_id)
);
CREATE INDEX favorites_article ON favorites (article_id);

CREATE TABLE comments (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    article_id BIGINT NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
    author_id  BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    body       TEXT    NOT NULL
);
CREATE INDEX comments_article ON comments (article_id, id);
CREATE INDEX comments_author ON comments (author_id);

-- +goose Down
DROP TABLE comments;
DROP TABLE favorites;
DROP TABLE article_tags;
DROP TABLE tags;
DROP TABLE articles;
DROP TABLE follows;
DROP TABLE users;
