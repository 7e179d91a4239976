package store

import (
	"context"
	"strings"
)

// A Filter says which articles a list has: those that meet all of its
// conditions. A condition that is empty is none.
type Filter struct {
	Tag         string
	Author      string // a username
	FavoritedBy string // a username
	FollowedBy  int64  // a user, whose feed it is
}

// A Page is a part of a list.
type Page struct{ Limit, Offset int64 }

// Articles returns a page of the articles that meet filter, newest first and
// without their bodies, as viewer sees them, and how many meet it in all.
//
// It is one query, whose first column is the count. Only a page past the end,
// which has no row to hold the count, takes a second. The page is found by
// what the indexes hold, before anything else of its articles is read.
func (s *Store) Articles(ctx context.Context, viewer int64, filter Filter, page Page) (articles []Article, count int64, err error) {
	var q query
	where := filter.where(&q)
	counting, countingArguments := "SELECT count(*) FROM articles a"+where, q.arguments
	q.WriteString("SELECT (" + counting + "), " + articleColumns + ", " + viewerColumns(&q, viewer))
	q.WriteString(" FROM (SELECT a.id FROM articles a" + where + newestFirst + " LIMIT " + q.argument(page.Limit) + " OFFSET " + q.argument(page.Offset) + ") page")
	q.WriteString(" JOIN articles a ON a.id = page.id JOIN users u ON u.id = a.author_id" + newestFirst)

	articles = make([]Article, 0, min(page.Limit, 100))
	err = s.db.Each(ctx, q.String(), q.arguments, func(r row) error {
		var a Article
		if err := r.Scan(append(append([]any{&count}, a.columns()...), &a.Favorited, &a.Author.Following)...); err != nil {
			return err
		}
		articles = append(articles, a)
		return nil
	})
	if err != nil || len(articles) > 0 || page.Offset == 0 {
		return articles, count, err
	}
	_, err = one(ctx, s.db, counting, countingArguments, &count)
	return articles, count, err
}

const newestFirst = " ORDER BY a.created_at DESC, a.id DESC"

// where returns the WHERE clause for the articles a.
func (f Filter) where(q *query) string {
	var conditions []string
	if f.Tag != "" {
		conditions = append(conditions, "a.id IN (SELECT article_id FROM article_tags JOIN tags ON tags.id = tag_id WHERE name = "+q.argument(f.Tag)+")")
	}
	if f.Author != "" {
		conditions = append(conditions, "a.author_id = (SELECT id FROM users WHERE username = "+q.argument(f.Author)+")")
	}
	if f.FavoritedBy != "" {
		conditions = append(conditions, "a.id IN (SELECT article_id FROM favorites JOIN users ON users.id = user_id WHERE username = "+q.argument(f.FavoritedBy)+")")
	}
	if f.FollowedBy != 0 {
		conditions = append(conditions, "a.author_id IN (SELECT followed_id FROM follows WHERE follower_id = "+q.argument(f.FollowedBy)+")")
	}
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}
