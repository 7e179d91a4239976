package api

import (
	"net/http"

	"berth/internal/realworld/store"
)

type profileOutput struct {
	Username  string  `json:"username"`
	Bio       *string `json:"bio"`
	Image     *string `json:"image"`
	Following bool    `json:"following"`
}

func (s *Server) profile(x *exchange) error {
	profile, err := s.store.Profile(x.ctx, x.viewer.ID, x.parameter("username"))
	return s.respondProfile(x, profile, err)
}

func (s *Server) follow(x *exchange) error { return s.setFollowing(x, true) }

func (s *Server) unfollow(x *exchange) error { return s.setFollowing(x, false) }

func (s *Server) setFollowing(x *exchange, following bool) error {
	profile, err := s.store.Follow(x.ctx, x.viewer.ID, x.parameter("username"), following)
	return s.respondProfile(x, profile, err)
}

func (s *Server) respondProfile(x *exchange, profile store.Profile, err error) error {
	if err != nil {
		return err
	}
	return s.json(x, http.StatusOK, struct {
		Profile profileOutput `json:"profile"`
	}{profileOutput(profile)})
}
