//go:build e2e

package e2e

import (
	"slices"
	"testing"
)

// What people do with the application, through NGINX, in both environments.
func testRealWorld(t *testing.T) {
	running(t)
	for _, host := range []string{production, staging} {
		t.Run(host, func(t *testing.T) {
			s := newSite(t, host)
			writer, reader := unique("writer"), unique("reader")
			author := s.as(t, writer)
			other := s.as(t, reader)

			var user struct {
				User struct{ Username, Token string }
			}
			s.call(t, "POST", "/api/users/login", object{"user": object{
				"email": writer + "@example.com", "password": "a password of " + writer,
			}}, &user)
			if user.User.Username != writer || user.User.Token == "" {
				t.Errorf("login: %+v", user)
			}

			slug := author.write(t, "On "+unique("harbours"))
			var article struct {
				Article struct {
					Slug           string
					Favorited      bool
					FavoritesCount int
				}
			}
			other.call(t, "POST", "/api/articles/"+slug+"/favorite", nil, &article)
			if !article.Article.Favorited || article.Article.FavoritesCount != 1 {
				t.Errorf("favorite: %+v", article)
			}

			other.call(t, "POST", "/api/articles/"+slug+"/comments", object{"comment": object{"body": "well moored"}}, nil)
			var comments struct {
				Comments []struct {
					Body   string
					Author struct{ Username string }
				}
			}
			s.call(t, "GET", "/api/articles/"+slug+"/comments", nil, &comments)
			if len(comments.Comments) != 1 || comments.Comments[0].Body != "well moored" || comments.Comments[0].Author.Username != reader {
				t.Errorf("comments: %+v", comments)
			}

			var profile struct{ Profile struct{ Following bool } }
			other.call(t, "POST", "/api/profiles/"+writer+"/follow", nil, &profile)
			if !profile.Profile.Following {
				t.Errorf("follow: %+v", profile)
			}
			var feed struct {
				Articles      []struct{ Slug string }
				ArticlesCount int
			}
			other.call(t, "GET", "/api/articles/feed", nil, &feed)
			if feed.ArticlesCount != 1 || len(feed.Articles) != 1 || feed.Articles[0].Slug != slug {
				t.Errorf("feed: %+v", feed)
			}
			var tags struct{ Tags []string }
			s.call(t, "GET", "/api/tags", nil, &tags)
			if !slices.Contains(tags.Tags, "berth") {
				t.Errorf("tags: %+v", tags)
			}
		})
	}
}
