-- The blog's own tables. They belong to the application and its migration tool; pgqueuer's belong to "pgq install".

CREATE TABLE IF NOT EXISTS article (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL UNIQUE,
    title text NOT NULL,
    body text NOT NULL,
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published')),
    published_at timestamptz,
    -- Filled by the job index_article, null until then.
    search tsvector,
    -- When that job started, by the clock of its worker.
    index_started_at timestamptz
);

CREATE INDEX IF NOT EXISTS article_search ON article USING gin (search);

CREATE TABLE IF NOT EXISTS app_user (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    -- Filled by the job send_welcome, null until then.
    welcomed_at timestamptz
);
