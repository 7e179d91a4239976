package api

import (
	"net/http"
	"strconv"

	"berth/internal/realworld/store"
)

type commentOutput struct {
	ID        int64         `json:"id"`
	CreatedAt store.Time    `json:"createdAt"`
	UpdatedAt store.Time    `json:"updatedAt"`
	Body      string        `json:"body"`
	Author    profileOutput `json:"author"`
}

func newCommentOutput(c store.Comment) commentOutput {
	return commentOutput{c.ID, c.CreatedAt, c.UpdatedAt, c.Body, profileOutput(c.Author)}
}

func (s *Server) comments(x *exchange) error {
	comments, err := s.store.Comments(x.ctx, x.viewer.ID, x.parameter("slug"))
	if err != nil {
		return err
	}
	outputs := make([]commentOutput, len(comments))
	for i, comment := range comments {
		outputs[i] = newCommentOutput(comment)
	}
	return s.json(x, http.StatusOK, struct {
		Comments []commentOutput `json:"comments"`
	}{outputs})
}

func (s *Server) createComment(x *exchange) error {
	article, err := s.store.ArticleBySlug(x.ctx, x.viewer.ID, x.parameter("slug"))
	if err != nil {
		return err
	}
	var input struct {
		Comment struct {
			Body field[string] `json:"body"`
		} `json:"comment"`
	}
	if err := x.decode(&input); err != nil {
		return err
	}
	found := make(messages)
	found.required("body", input.Comment.Body.present)
	found.text("body", input.Comment.Body)
	if err := found.invalid(); err != nil {
		return err
	}
	comment, err := s.store.CreateComment(x.ctx, x.viewer.ID, article.ID, input.Comment.Body.value)
	if err != nil {
		return err
	}
	return s.json(x, http.StatusCreated, struct {
		Comment commentOutput `json:"comment"`
	}{newCommentOutput(comment)})
}

func (s *Server) deleteComment(x *exchange) error {
	// An ID that is not a number belongs to no comment. A missing article is told first.
	id, err := strconv.ParseInt(x.parameter("id"), 10, 64)
	if err != nil {
		id = 0
	}
	if err := s.store.DeleteComment(x.ctx, x.viewer.ID, x.parameter("slug"), id); err != nil {
		return err
	}
	return s.noContent(x)
}
