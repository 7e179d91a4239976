package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"berth/internal/realworld/password"
	"berth/internal/realworld/store"
)

// What the stores are filled with.
const (
	users            = 50
	articles         = 500
	favoritesPerItem = 5 // 2,500 in all
	followsPerUser   = 10
	tags             = 30
	tagsPerArticle   = 3
	plainPassword    = "a password for all of them"
)

func username(i int) string { return fmt.Sprintf("user%02d", i%users) }

func email(i int) string { return username(i) + "@example.com" }

// seed fills a new database.
func seed(ctx context.Context, databaseURL string) (err error) {
	data, err := store.Open(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	hash, err := password.NewPool(1, 0, password.DefaultCost).Hash(ctx, plainPassword)
	if err != nil {
		return err
	}
	ids := make([]int64, users)
	for i := range users {
		bio, image := "Writes about subject "+username(i)+".", "https://example.com/"+username(i)+".png"
		user, err := data.CreateUser(ctx, store.User{Username: username(i), Email: email(i), PasswordHash: hash, Bio: &bio, Image: &image})
		if err != nil {
			return err
		}
		ids[i] = user.ID
	}
	for i, id := range ids {
		for j := range followsPerUser {
			if _, err := data.Follow(ctx, id, username(i+1+j*3), true); err != nil {
				return err
			}
		}
	}
	for i := range articles {
		text := store.ArticleText{
			Title:       fmt.Sprintf("Article %d on a subject of some interest", i),
			Description: "What it says in a sentence or two, as long as such a thing usually is.",
			Body:        strings.Repeat("A paragraph that goes on for a while, as paragraphs do. ", 30),
		}
		for j := range tagsPerArticle {
			text.Tags = append(text.Tags, fmt.Sprintf("tag%02d", (i+j*7)%tags))
		}
		slug, err := data.CreateArticle(ctx, ids[i%users], text)
		if err != nil {
			return err
		}
		for j := range favoritesPerItem {
			if err := data.Favorite(ctx, ids[(i+j*11)%users], slug, true); err != nil {
				return err
			}
		}
	}
	return nil
}
