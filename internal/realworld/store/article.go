package store

import (
	"context"
	"encoding/json"
	"fmt"

	"berth/internal/realworld/slug"
)

// An Article is an article as one viewer sees it.
type Article struct {
	ID             int64
	AuthorID       int64
	Slug           string
	Title          string
	Description    string
	Body           string          // left empty in a list
	TagList        json.RawMessage // a JSON array of strings
	CreatedAt      Time
	UpdatedAt      Time
	FavoritesCount int64
	Favorited      bool
	Author         Profile
}

// ArticleText is what the author of an article decides.
type ArticleText struct {
	Title, Description, Body string
	Tags                     []string // distinct, in the author's order
}

// reservedSlug is the address of the feed, at which no article could be reached.
const reservedSlug = "feed"

// articleColumns are what every view of an article holds, with articles as a
// and their authors as u.
const articleColumns = `a.id, a.author_id, a.slug, a.title, a.description, a.tag_list, a.created_at, a.updated_at, a.favorites_count, u.username, u.bio, u.image`

func (a *Article) columns() []any {
	return []any{&a.ID, &a.AuthorID, &a.Slug, &a.Title, &a.Description, (*[]byte)(&a.TagList), (*int64)(&a.CreatedAt), (*int64)(&a.UpdatedAt), &a.FavoritesCount,
		&a.Author.Username, &a.Author.Bio, &a.Author.Image}
}

// viewerColumns are whether viewer favorited the article and whether they
// follow its author. Nobody, which is 0, did neither: then nothing is looked up.
func viewerColumns(q *query, viewer int64) string {
	if viewer == 0 {
		return "false, false"
	}
	v := q.argument(viewer)
	return "EXISTS (SELECT 1 FROM favorites WHERE user_id = " + v + " AND article_id = a.id), " +
		"EXISTS (SELECT 1 FROM follows WHERE follower_id = " + v + " AND followed_id = a.author_id)"
}

// ArticleBySlug returns an article as viewer sees it; 0 is nobody.
func (s *Store) ArticleBySlug(ctx context.Context, viewer int64, slug string) (Article, error) {
	var q query
	q.WriteString("SELECT " + articleColumns + ", a.body, " + viewerColumns(&q, viewer))
	q.WriteString(" FROM articles a JOIN users u ON u.id = a.author_id WHERE a.slug = " + q.argument(slug))
	var article Article
	found, err := one(ctx, s.db, q.String(), q.arguments,
		append(article.columns(), &article.Body, &article.Favorited, &article.Author.Following)...)
	if err == nil && !found {
		err = NotFoundError{"article"}
	}
	return article, err
}

// CreateArticle keeps a new article and returns its slug.
func (s *Store) CreateArticle(ctx context.Context, author int64, text ArticleText) (newSlug string, err error) {
	tagList, err := marshalTags(text.Tags)
	if err != nil {
		return "", err
	}
	err = s.writeWithSlug(ctx, func(q querier) error {
		if newSlug, err = freeSlug(ctx, q, text.Title, 0); err != nil {
			return err
		}
		var id int64
		if _, err := one(ctx, q, `INSERT INTO articles (author_id, created_at, updated_at, slug, title, tag_list, description, body)
			VALUES ($1, $2, $2, $3, $4, $5, $6, $7) RETURNING id`,
			[]any{author, now(), newSlug, text.Title, tagList, text.Description, text.Body}, &id); err != nil {
			return err
		}
		return setTags(ctx, q, id, text.Tags)
	})
	return newSlug, err
}

// UpdateArticle applies change to an article as it is then and returns its
// slug, which follows the title.
func (s *Store) UpdateArticle(ctx context.Context, id int64, change func(*ArticleText)) (newSlug string, err error) {
	err = s.writeWithSlug(ctx, func(q querier) error {
		var text ArticleText
		var oldTags string
		found, err := one(ctx, q, "SELECT slug, title, description, body, tag_list FROM articles WHERE id = $1"+s.db.Lock(), []any{id},
			&newSlug, &text.Title, &text.Description, &text.Body, &oldTags)
		if err != nil {
			return err
		}
		if !found {
			return NotFoundError{"article"}
		}
		if err := json.Unmarshal([]byte(oldTags), &text.Tags); err != nil {
			return fmt.Errorf("read the tags of article %d: %w", id, err)
		}
		oldTitle := text.Title
		change(&text)
		if text.Title != oldTitle {
			if newSlug, err = freeSlug(ctx, q, text.Title, id); err != nil {
				return err
			}
		}
		tagList, err := marshalTags(text.Tags)
		if err != nil {
			return err
		}
		// The clock may stand still or go back; updated_at moves on regardless.
		if _, err := q.Exec(ctx, `UPDATE articles SET slug = $2, title = $3, description = $4, body = $5, tag_list = $6,
			updated_at = CASE WHEN updated_at < $7 THEN $7 ELSE updated_at + 1 END WHERE id = $1`,
			id, newSlug, text.Title, text.Description, text.Body, tagList, now()); err != nil {
			return err
		}
		if tagList == oldTags {
			return nil
		}
		if _, err := q.Exec(ctx, "DELETE FROM article_tags WHERE article_id = $1", id); err != nil {
			return err
		}
		return setTags(ctx, q, id, text.Tags)
	})
	return newSlug, err
}

// DeleteArticle removes an article of viewer's, with all that belongs to it.
func (s *Store) DeleteArticle(ctx context.Context, viewer int64, slug string) error {
	return s.db.Write(ctx, func(q querier) error {
		id, author, err := s.lockArticle(ctx, q, slug)
		if err != nil {
			return err
		}
		if author != viewer {
			return ForbiddenError{"article"}
		}
		_, err = q.Exec(ctx, "DELETE FROM articles WHERE id = $1", id)
		return err
	})
}

// Favorite has viewer favorite an article, or no longer. Doing so twice is the
// same as once.
func (s *Store) Favorite(ctx context.Context, viewer int64, slug string, favorite bool) error {
	return s.db.Write(ctx, func(q querier) error {
		id, _, err := s.lockArticle(ctx, q, slug)
		if err != nil {
			return err
		}
		statement, step := "DELETE FROM favorites WHERE user_id = $1 AND article_id = $2", -1
		if favorite {
			statement, step = "INSERT INTO favorites (user_id, article_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", 1
		}
		changed, err := q.Exec(ctx, statement, viewer, id)
		if err != nil || changed == 0 {
			return err
		}
		_, err = q.Exec(ctx, "UPDATE articles SET favorites_count = favorites_count + $2 WHERE id = $1", id, step)
		return err
	})
}

// lockArticle finds an article and keeps it from changing until the
// transaction ends.
func (s *Store) lockArticle(ctx context.Context, q querier, slug string) (id, author int64, err error) {
	found, err := one(ctx, q, "SELECT id, author_id FROM articles WHERE slug = $1"+s.db.Lock(), []any{slug}, &id, &author)
	if err == nil && !found {
		err = NotFoundError{"article"}
	}
	return id, author, err
}

// freeSlug returns a slug for a title that no article but id has.
func freeSlug(ctx context.Context, q querier, title string, id int64) (string, error) {
	wanted := slug.Of(title)
	taken := wanted == reservedSlug
	if !taken {
		var other int64
		var err error
		if taken, err = one(ctx, q, "SELECT id FROM articles WHERE slug = $1 AND id <> $2", []any{wanted, id}, &other); err != nil {
			return "", err
		}
	}
	if taken {
		return slug.Distinct(wanted), nil
	}
	return wanted, nil
}

// writeWithSlug runs work in a transaction, and again if the slug that it found
// free was taken by another transaction meanwhile.
func (s *Store) writeWithSlug(ctx context.Context, work func(querier) error) (err error) {
	const attempts = 3
	for range attempts {
		if err = s.db.Write(ctx, work); !isNotUnique(err, "articles.slug") {
			return err
		}
	}
	return err
}

func marshalTags(tags []string) (string, error) {
	if len(tags) == 0 {
		return "[]", nil
	}
	list, err := json.Marshal(tags)
	return string(list), err
}
