package api

import (
	"net/http"
	"time"

	"berth/internal/realworld/store"
)

type userInput struct {
	User struct {
		Username field[string] `json:"username"`
		Email    field[string] `json:"email"`
		Password field[string] `json:"password"`
		Bio      field[string] `json:"bio"`
		Image    field[string] `json:"image"`
	} `json:"user"`
}

type userOutput struct {
	Email    string  `json:"email"`
	Token    string  `json:"token"`
	Username string  `json:"username"`
	Bio      *string `json:"bio"`
	Image    *string `json:"image"`
}

func (s *Server) register(x *exchange) error {
	var input userInput
	if err := x.decode(&input); err != nil {
		return err
	}
	u, found := &input.User, make(messages)
	found.required("username", u.Username.present)
	found.required("email", u.Email.present)
	found.required("password", u.Password.present)
	found.name("username", u.Username)
	found.email(u.Email)
	found.password(u.Password)
	if err := found.invalid(); err != nil {
		return err
	}
	hash, err := s.passwords.Hash(x.ctx, u.Password.value)
	if err != nil {
		return err
	}
	user, err := s.store.CreateUser(x.ctx, store.User{Username: u.Username.value, Email: u.Email.value, PasswordHash: hash})
	if err != nil {
		return err
	}
	return s.respondUser(x, http.StatusCreated, user)
}

// respondUser answers with a user and a token that is good from now on.
func (s *Server) respondUser(x *exchange, status int, user store.User) error {
	token, err := s.tokens.Issue(user.ID, time.Now())
	if err != nil {
		return err
	}
	return s.json(x, status, struct {
		User userOutput `json:"user"`
	}{userOutput{user.Email, token, user.Username, user.Bio, user.Image}})
}

func (s *Server) login(x *exchange) error {
	var input userInput
	if err := x.decode(&input); err != nil {
		return err
	}
	u, found := &input.User, make(messages)
	found.required("email", u.Email.present)
	found.required("password", u.Password.present)
	found.text("email", u.Email)
	if u.Password.wrong || u.Password.null || u.Password.present && u.Password.value == "" {
		found.password(u.Password)
	}
	if err := found.invalid(); err != nil {
		return err
	}
	// Without such a user the hash is empty, which takes as long to refuse.
	user, _, err := s.store.UserByEmail(x.ctx, u.Email.value)
	if err != nil {
		return err
	}
	ok, err := s.passwords.Matches(x.ctx, user.PasswordHash, u.Password.value)
	if err != nil {
		return err
	}
	if !ok {
		return unauthorized("credentials", "invalid")
	}
	x.viewer = user
	return s.respondUser(x, http.StatusOK, user)
}

func (s *Server) currentUser(x *exchange) error {
	return s.respondUser(x, http.StatusOK, x.viewer)
}

func (s *Server) updateUser(x *exchange) error {
	var input userInput
	if err := x.decode(&input); err != nil {
		return err
	}
	u, found := &input.User, make(messages)
	// The specification: "At least one field is required."
	found.required("user", u.Username.present || u.Email.present || u.Password.present || u.Bio.present || u.Image.present)
	found.name("username", u.Username)
	found.email(u.Email)
	found.password(u.Password)
	found.optionalText("bio", u.Bio)
	found.optionalText("image", u.Image)
	if err := found.invalid(); err != nil {
		return err
	}
	var hash string
	if u.Password.present {
		var err error
		if hash, err = s.passwords.Hash(x.ctx, u.Password.value); err != nil {
			return err
		}
	}
	user, err := s.store.UpdateUser(x.ctx, x.viewer.ID, func(user *store.User) {
		if u.Username.present {
			user.Username = u.Username.value
		}
		if u.Email.present {
			user.Email = u.Email.value
		}
		if u.Password.present {
			user.PasswordHash = hash
		}
		if u.Bio.present {
			user.Bio = orNull(u.Bio.value)
		}
		if u.Image.present {
			user.Image = orNull(u.Image.value)
		}
	})
	if err != nil {
		return err
	}
	return s.respondUser(x, http.StatusOK, user)
}

// orNull makes an empty text null.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
