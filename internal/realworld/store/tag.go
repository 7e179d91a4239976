package store

import (
	"context"
	"encoding/json"
	"slices"
)

// Tags returns the names of all tags that an article has, in the order of the
// alphabet, as a JSON array: the database makes it faster than it could hand
// out the rows.
func (s *Store) Tags(ctx context.Context) (json.RawMessage, error) {
	var tags []byte
	_, err := one(ctx, s.db, `SELECT coalesce(`+s.db.JSONArray()+`(name), '[]') FROM
		(SELECT name FROM tags WHERE EXISTS (SELECT 1 FROM article_tags WHERE tag_id = tags.id) ORDER BY name) used`, nil, &tags)
	return tags, err
}

// setTags makes tags the ones of an article that has none.
func setTags(ctx context.Context, q querier, article int64, tags []string) error {
	// In one order for all, lest two writers each wait for the other's new tag.
	for _, tag := range slices.Sorted(slices.Values(tags)) {
		if _, err := q.Exec(ctx, "INSERT INTO tags (name) VALUES ($1) ON CONFLICT DO NOTHING", tag); err != nil {
			return err
		}
		if _, err := q.Exec(ctx, "INSERT INTO article_tags (tag_id, article_id) SELECT id, $2 FROM tags WHERE name = $1", tag, article); err != nil {
			return err
		}
	}
	return nil
}
