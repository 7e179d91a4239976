package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"strings"
)

// A User is somebody who can log in.
type User struct {
	ID           int64
	Username     string
	Email        string
	PasswordHash string
	Bio, Image   *string
}

// A Profile is what others see of a user, and whether they follow them.
type Profile struct {
	Username   string
	Bio, Image *string
	Following  bool
}

const userColumns = "id, username, email, password_hash, bio, image"

func (u *User) columns() []any {
	return []any{&u.ID, &u.Username, &u.Email, &u.PasswordHash, &u.Bio, &u.Image}
}

// CreateUser keeps a new user and returns it with its number.
func (s *Store) CreateUser(ctx context.Context, user User) (User, error) {
	user.ID = randomID()
	at := now()
	_, err := s.db.Exec(ctx, `INSERT INTO users (id, username, email, email_key, password_hash, bio, image, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)`,
		user.ID, user.Username, user.Email, emailKey(user.Email), user.PasswordHash, user.Bio, user.Image, at)
	return user, takenError(err)
}

// UserByID returns a user, and whether there is one.
func (s *Store) UserByID(ctx context.Context, id int64) (user User, found bool, err error) {
	found, err = one(ctx, s.db, "SELECT "+userColumns+" FROM users WHERE id = $1", []any{id}, user.columns()...)
	return user, found, err
}

// UserByEmail returns the user of an email in any case, and whether there is one.
func (s *Store) UserByEmail(ctx context.Context, email string) (user User, found bool, err error) {
	found, err = one(ctx, s.db, "SELECT "+userColumns+" FROM users WHERE email_key = $1", []any{emailKey(email)}, user.columns()...)
	return user, found, err
}

// UpdateUser applies change to a user as it is then and returns the result.
func (s *Store) UpdateUser(ctx context.Context, id int64, change func(*User)) (user User, err error) {
	err = s.db.Write(ctx, func(q querier) error {
		found, err := one(ctx, q, "SELECT "+userColumns+" FROM users WHERE id = $1"+s.db.Lock(), []any{id}, user.columns()...)
		if err != nil {
			return err
		}
		if !found {
			return NotFoundError{"profile"}
		}
		change(&user)
		_, err = q.Exec(ctx, `UPDATE users SET username = $2, email = $3, email_key = $4, password_hash = $5, bio = $6, image = $7, updated_at = $8 WHERE id = $1`,
			id, user.Username, user.Email, emailKey(user.Email), user.PasswordHash, user.Bio, user.Image, now())
		return err
	})
	return user, takenError(err)
}

// Profile returns the profile of a name as viewer sees it; 0 is nobody.
func (s *Store) Profile(ctx context.Context, viewer int64, username string) (Profile, error) {
	profile, _, err := profileByName(ctx, s.db, viewer, username)
	return profile, err
}

// Follow has viewer follow the user of a name, or no longer, and returns that
// user's profile. Doing so twice is the same as once.
func (s *Store) Follow(ctx context.Context, viewer int64, username string, follow bool) (profile Profile, err error) {
	err = s.db.Write(ctx, func(q querier) error {
		var id int64
		if profile, id, err = profileByName(ctx, q, viewer, username); err != nil {
			return err
		}
		profile.Following = follow
		statement := "DELETE FROM follows WHERE follower_id = $1 AND followed_id = $2"
		if follow {
			statement = "INSERT INTO follows (follower_id, followed_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
		}
		_, err := q.Exec(ctx, statement, viewer, id)
		return err
	})
	return profile, err
}

func profileByName(ctx context.Context, q querier, viewer int64, username string) (profile Profile, id int64, err error) {
	found, err := one(ctx, q, `SELECT id, username, bio, image,
		EXISTS (SELECT 1 FROM follows WHERE follower_id = $1 AND followed_id = users.id) FROM users WHERE username = $2`,
		[]any{viewer, username}, &id, &profile.Username, &profile.Bio, &profile.Image, &profile.Following)
	if err == nil && !found {
		err = NotFoundError{"profile"}
	}
	return profile, id, err
}

// emailKey is what makes two spellings of an email the same. The case is folded
// here, as SQLite's lower() knows ASCII alone and PostgreSQL's its locale.
func emailKey(email string) string { return strings.ToLower(email) }

func takenError(err error) error {
	switch {
	case isNotUnique(err, "users.username"):
		return TakenError{"username"}
	case isNotUnique(err, "users.email_key"):
		return TakenError{"email"}
	}
	return err
}

// randomID returns a positive number that nobody had before, for all practical
// purposes.
func randomID() int64 {
	var b [8]byte
	rand.Read(b[:]) // It never fails: crypto/rand ends the program instead.
	return int64(binary.BigEndian.Uint64(b[:])>>1) | 1
}
