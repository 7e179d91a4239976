package api

import (
	"encoding/json"
	"net/http"

	"berth/internal/realworld/store"
)

type articleInput struct {
	Title       field[string]          `json:"title"`
	Description field[string]          `json:"description"`
	Body        field[string]          `json:"body"`
	TagList     field[[]field[string]] `json:"tagList"`
}

type articleOutput struct {
	Slug           string          `json:"slug"`
	Title          string          `json:"title"`
	Description    string          `json:"description"`
	Body           *string         `json:"body,omitempty"` // a list has none
	TagList        json.RawMessage `json:"tagList"`
	CreatedAt      store.Time      `json:"createdAt"`
	UpdatedAt      store.Time      `json:"updatedAt"`
	Favorited      bool            `json:"favorited"`
	FavoritesCount int64           `json:"favoritesCount"`
	Author         profileOutput   `json:"author"`
}

func newArticleOutput(a *store.Article) articleOutput {
	return articleOutput{
		Slug: a.Slug, Title: a.Title, Description: a.Description, TagList: a.TagList,
		CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, Favorited: a.Favorited, FavoritesCount: a.FavoritesCount,
		Author: profileOutput(a.Author),
	}
}

func (s *Server) article(x *exchange) error {
	return s.respondArticle(x, http.StatusOK, x.parameter("slug"))
}

func (s *Server) articles(x *exchange) error {
	query := x.request.URL.Query()
	return s.respondArticles(x, store.Filter{
		Tag:         storable(query.Get("tag")),
		Author:      storable(query.Get("author")),
		FavoritedBy: storable(query.Get("favorited")),
	})
}

func (s *Server) feed(x *exchange) error {
	return s.respondArticles(x, store.Filter{FollowedBy: x.viewer.ID})
}

func (s *Server) createArticle(x *exchange) error {
	var input struct {
		Article articleInput `json:"article"`
	}
	if err := x.decode(&input); err != nil {
		return err
	}
	a, found := &input.Article, make(messages)
	found.required("title", a.Title.present)
	found.required("description", a.Description.present)
	found.required("body", a.Body.present)
	tags := a.check(found)
	if err := found.invalid(); err != nil {
		return err
	}
	slug, err := s.store.CreateArticle(x.ctx, x.viewer.ID,
		store.ArticleText{Title: a.Title.value, Description: a.Description.value, Body: a.Body.value, Tags: tags})
	if err != nil {
		return err
	}
	return s.respondArticle(x, http.StatusCreated, slug)
}

// updateArticle refuses whose article it is not before it judges the input.
func (s *Server) updateArticle(x *exchange) error {
	article, err := s.store.ArticleBySlug(x.ctx, x.viewer.ID, x.parameter("slug"))
	if err != nil {
		return err
	}
	if article.AuthorID != x.viewer.ID {
		return store.ForbiddenError{Resource: "article"}
	}
	var input struct {
		Article *articleInput `json:"article"`
	}
	if err := x.decode(&input); err != nil {
		return err
	}
	a, found := input.Article, make(messages)
	if a == nil {
		found.add("article", blank)
		return found.invalid()
	}
	tags := a.check(found)
	if err := found.invalid(); err != nil {
		return err
	}
	slug, err := s.store.UpdateArticle(x.ctx, article.ID, func(text *store.ArticleText) {
		if a.Title.present {
			text.Title = a.Title.value
		}
		if a.Description.present {
			text.Description = a.Description.value
		}
		if a.Body.present {
			text.Body = a.Body.value
		}
		if a.TagList.present {
			text.Tags = tags
		}
	})
	if err != nil {
		return err
	}
	return s.respondArticle(x, http.StatusOK, slug)
}

// check adds what is wrong with the fields that are there.
func (a *articleInput) check(found messages) (tags []string) {
	found.text("title", a.Title)
	found.text("description", a.Description)
	found.text("body", a.Body)
	return found.tags(a.TagList)
}

func (s *Server) deleteArticle(x *exchange) error {
	if err := s.store.DeleteArticle(x.ctx, x.viewer.ID, x.parameter("slug")); err != nil {
		return err
	}
	return s.noContent(x)
}

func (s *Server) favorite(x *exchange) error { return s.setFavorite(x, true) }

func (s *Server) unfavorite(x *exchange) error { return s.setFavorite(x, false) }

func (s *Server) setFavorite(x *exchange, favorite bool) error {
	slug := x.parameter("slug")
	if err := s.store.Favorite(x.ctx, x.viewer.ID, slug, favorite); err != nil {
		return err
	}
	return s.respondArticle(x, http.StatusOK, slug)
}

func (s *Server) respondArticle(x *exchange, status int, slug string) error {
	article, err := s.store.ArticleBySlug(x.ctx, x.viewer.ID, slug)
	if err != nil {
		return err
	}
	output := newArticleOutput(&article)
	output.Body = &article.Body
	return s.json(x, status, struct {
		Article articleOutput `json:"article"`
	}{output})
}

func (s *Server) respondArticles(x *exchange, filter store.Filter) error {
	page, err := x.page()
	if err != nil {
		return err
	}
	articles, count, err := s.store.Articles(x.ctx, x.viewer.ID, filter, page)
	if err != nil {
		return err
	}
	outputs := make([]articleOutput, len(articles))
	for i := range articles {
		outputs[i] = newArticleOutput(&articles[i])
	}
	return s.json(x, http.StatusOK, struct {
		Articles      []articleOutput `json:"articles"`
		ArticlesCount int64           `json:"articlesCount"`
	}{outputs, count})
}
