package store

import "context"

// A Comment is a comment as one viewer sees it.
type Comment struct {
	ID        int64
	Body      string
	CreatedAt Time
	UpdatedAt Time
	Author    Profile
}

const selectComments = `SELECT c.id, c.body, c.created_at, c.updated_at, u.username, u.bio, u.image,
	EXISTS (SELECT 1 FROM follows WHERE follower_id = $1 AND followed_id = c.author_id)
	FROM comments c JOIN users u ON u.id = c.author_id`

func (c *Comment) columns() []any {
	return []any{&c.ID, &c.Body, (*int64)(&c.CreatedAt), (*int64)(&c.UpdatedAt), &c.Author.Username, &c.Author.Bio, &c.Author.Image, &c.Author.Following}
}

// Comments returns an article's comments, newest first, as viewer sees them; 0
// is nobody.
func (s *Store) Comments(ctx context.Context, viewer int64, slug string) ([]Comment, error) {
	var article int64
	found, err := one(ctx, s.db, "SELECT id FROM articles WHERE slug = $1", []any{slug}, &article)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, NotFoundError{"article"}
	}
	comments := []Comment{}
	err = s.db.Each(ctx, selectComments+" WHERE c.article_id = $2 ORDER BY c.id DESC", []any{viewer, article}, func(r row) error {
		var c Comment
		if err := r.Scan(c.columns()...); err != nil {
			return err
		}
		comments = append(comments, c)
		return nil
	})
	return comments, err
}

// CreateComment keeps a new comment of author's on an article and returns it.
func (s *Store) CreateComment(ctx context.Context, author, article int64, body string) (comment Comment, err error) {
	err = s.db.Write(ctx, func(q querier) error {
		// The article may have gone since it was looked at.
		var id int64
		found, err := one(ctx, q, `INSERT INTO comments (article_id, author_id, created_at, updated_at, body)
			SELECT id, $2, $3, $3, $4 FROM articles WHERE id = $1 RETURNING id`, []any{article, author, now(), body}, &id)
		if err != nil {
			return err
		}
		if !found {
			return NotFoundError{"article"}
		}
		_, err = one(ctx, q, selectComments+" WHERE c.id = $2", []any{author, id}, comment.columns()...)
		return err
	})
	return comment, err
}

// DeleteComment removes a comment of viewer's from an article.
func (s *Store) DeleteComment(ctx context.Context, viewer int64, slug string, id int64) error {
	return s.db.Write(ctx, func(q querier) error {
		article, _, err := s.lockArticle(ctx, q, slug)
		if err != nil {
			return err
		}
		var author int64
		found, err := one(ctx, q, "SELECT author_id FROM comments WHERE id = $1 AND article_id = $2", []any{id, article}, &author)
		switch {
		case err != nil:
			return err
		case !found:
			return NotFoundError{"comment"}
		case author != viewer:
			return ForbiddenError{"comment"}
		}
		_, err = q.Exec(ctx, "DELETE FROM comments WHERE id = $1", id)
		return err
	})
}
