package realworld_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/internal/postgrestest"
	"berth/internal/realworld"
	"berth/internal/realworld/password"
	"berth/internal/realworld/store"
)

func TestTimes(t *testing.T) {
	onEach(t, func(t *testing.T, databaseURL string) {
		c := newClient(t, databaseURL, "ann")
		times := func(request, body string) (created, updated string) {
			t.Helper()
			response, answer := c.send("ann", request, body)
			if response.StatusCode >= 300 {
				t.Fatalf("%s: %s: %s", request, response.Status, answer)
			}
			return c.at(answer, "article.createdAt").(string), c.at(answer, "article.updatedAt").(string)
		}
		created, updated := times("POST /api/articles", newArticle)
		if created != updated {
			t.Errorf("a new article was created at %s and updated at %s", created, updated)
		}
		if at, err := time.Parse(time.RFC3339Nano, created); err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("createdAt %s: %v", created, err)
		}
		// Even an update that changes nothing is one.
		for range 3 {
			createdNow, updatedNow := times("PUT /api/articles/how-to-train", newArticle)
			if createdNow != created {
				t.Errorf("createdAt moved from %s to %s", created, createdNow)
			}
			if updatedNow <= updated {
				t.Errorf("updatedAt went from %s to %s", updated, updatedNow)
			}
			updated = updatedNow
		}
		if _, updatedNow := times("POST /api/articles/how-to-train/favorite", ""); updatedNow != updated {
			t.Errorf("a favorite moved updatedAt from %s to %s", updated, updatedNow)
		}
	})
}

func TestDefaultPageIsTwentyNewestFirst(t *testing.T) {
	onEach(t, func(t *testing.T, databaseURL string) {
		c := newClient(t, databaseURL, "ann")
		for i := range 25 {
			c.run([]step{{as: "ann", do: "POST /api/articles", status: http.StatusCreated,
				body: fmt.Sprintf(`{"article": {"title": "Article %d", "description": "d", "body": "b"}}`, i)}})
		}
		_, body := c.send("", "GET /api/articles", "")
		var answer struct {
			Articles []struct {
				Slug      string
				CreatedAt string
			}
			ArticlesCount int
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		if len(answer.Articles) != 20 || answer.ArticlesCount != 25 {
			t.Fatalf("%d articles of %d", len(answer.Articles), answer.ArticlesCount)
		}
		for i, article := range answer.Articles {
			if want := fmt.Sprintf("article-%d", 24-i); article.Slug != want {
				t.Errorf("article %d is %s, want %s", i, article.Slug, want)
			}
			if i > 0 && article.CreatedAt >= answer.Articles[i-1].CreatedAt {
				t.Errorf("article %d is not older than the one before", i)
			}
		}
	})
}

// Many at once want the same slug and favorite the same articles in every
// order, while the articles change and go.
func TestConcurrentWriters(t *testing.T) {
	onEach(t, func(t *testing.T, databaseURL string) {
		const writers = 8
		var names []string
		for i := range writers {
			names = append(names, fmt.Sprintf("user%d", i))
		}
		c := newClient(t, databaseURL, names...)
		c.run([]step{{as: "user0", do: "POST /api/articles", body: newArticle, status: http.StatusCreated}})

		var group sync.WaitGroup
		for _, name := range names {
			group.Go(func() {
				for _, request := range []struct {
					do, body string
					status   int
				}{
					{"POST /api/articles", `{"article": {"title": "Same", "description": "d", "body": "b", "tagList": ["b", "a", "` + name + `"]}}`, http.StatusCreated},
					{"POST /api/articles/how-to-train/favorite", "", http.StatusOK},
					{"POST /api/articles/how-to-train/favorite", "", http.StatusOK},
					{"DELETE /api/articles/how-to-train/favorite", "", http.StatusOK},
					{"POST /api/articles/how-to-train/favorite", "", http.StatusOK},
					{"POST /api/articles/how-to-train/comments", `{"comment": {"body": "Hi"}}`, http.StatusCreated},
					{"POST /api/profiles/user0/follow", "", http.StatusOK},
				} {
					if response, body := c.send(name, request.do, request.body); response.StatusCode != request.status {
						t.Errorf("%s: %s: %s", request.do, response.Status, body)
					}
				}
			})
		}
		group.Wait()

		_, body := c.send("", "GET /api/articles/how-to-train", "")
		if got := c.at(body, "article.favoritesCount"); got != float64(writers) {
			t.Errorf("favoritesCount is %v, want %d", got, writers)
		}
		_, body = c.send("", "GET /api/articles?tag=a", "")
		if got := c.at(body, "articlesCount"); got != float64(writers) {
			t.Errorf("%v articles of the same title, want %d", got, writers)
		}
		slugs := map[any]bool{}
		for _, article := range c.at(body, "articles").([]any) {
			slugs[article.(map[string]any)["slug"]] = true
		}
		if len(slugs) != writers {
			t.Errorf("%d distinct slugs, want %d", len(slugs), writers)
		}
	})
}

// Two processes share one database during a rolling update: what one writes
// the other must see at once.
func TestTwoServersOnOneDatabaseAgree(t *testing.T) {
	onEach(t, func(t *testing.T, databaseURL string) {
		first, second := newClient(t, databaseURL, "ann"), newClient(t, databaseURL, "bob")
		second.tokens["ann"] = first.tokens["ann"]
		for i := range 10 {
			slug := fmt.Sprintf("article-%d", i)
			body := fmt.Sprintf(`{"article": {"title": "Article %d", "description": "d", "body": "b", "tagList": ["tag%d"]}}`, i, i)
			first.run([]step{{as: "ann", do: "POST /api/articles", body: body, status: http.StatusCreated}})
			second.run([]step{
				{do: "GET /api/articles/" + slug, status: http.StatusOK},
				{as: "ann", do: "PUT /api/articles/" + slug, body: `{"article": {"body": "changed"}}`, status: http.StatusOK},
			})
			if _, answer := first.send("", "GET /api/articles/"+slug, ""); first.at(answer, "article.body") != "changed" {
				t.Fatalf("stale: %s", answer)
			}
			if _, answer := second.send("", "GET /api/tags", ""); len(second.at(answer, "tags").([]any)) != i+1 {
				t.Fatalf("stale: %s", answer)
			}
		}
	})
}

func TestMigrationsRacedBySeveralStarters(t *testing.T) {
	onEach(t, func(t *testing.T, databaseURL string) {
		const starters = 6
		var group sync.WaitGroup
		for range starters {
			group.Go(func() {
				s, err := store.Open(t.Context(), databaseURL)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Ping(t.Context()); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	})
}

func TestDataOutlivesTheServer(t *testing.T) {
	onEach(t, func(t *testing.T, databaseURL string) {
		t.Run("first", func(t *testing.T) {
			newClient(t, databaseURL, "ann").run([]step{{as: "ann", do: "POST /api/articles", body: newArticle, status: http.StatusCreated}})
		})
		newClient(t, databaseURL).run([]step{
			{do: "GET /api/articles", status: http.StatusOK, want: list("1", listed())},
			{do: "POST /api/users/login", body: `{"user": {"email": "ann@example.com", "password": "password"}}`, status: http.StatusOK},
		})
	})
}

// A number must not come to mean another user, whatever was restored.
func TestTokenOfAUserThatIsNotThereIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, databaseURL string) {
		elsewhere := newClient(t, "sqlite:///"+t.TempDir()+"/elsewhere.db", "mallory")
		c := newClient(t, databaseURL, "ann")
		c.tokens["mallory"] = elsewhere.tokens["mallory"]
		c.run([]step{{as: "mallory", do: "GET /api/user", status: http.StatusUnauthorized, want: badToken}})
	})
}

func TestDatabaseThatWentAway(t *testing.T) {
	database, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	url := database.Database(t)
	c := newClient(t, url, "ann")
	if err := database.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"GET /api/tags", "GET /api/user", "POST /api/articles"} {
		response, body := c.send("ann", request, newArticle)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s: %s", request, response.Status, body)
		}
	}

	// A server that starts meanwhile waits for it, and says so.
	config := realworld.Config{DatabaseURL: url, Secret: secret, PasswordCost: cheap, DatabaseWait: time.Minute}
	s := startServer(t, config)
	waitFor(t, func() bool { return strings.Contains(s.log.String(), "waiting for the database") })
	s.cancel()
	if err := <-s.ended; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// A database that moves leaves nobody behind who refuses: what is sent to its old
// address is never answered.
func TestDatabaseThatDoesNotAnswer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	url := "postgres://app@" + silent.Addr().String() + "/app?connect_timeout=1&sslmode=disable"
	if _, err := store.Open(t.Context(), url); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want an error that is worth another try", err)
	}
}

// A server whose workers are busy for as long as the test needs them to be
// answers the rest, and says so to who would have to wait too long.
func TestFloodOfLogins(t *testing.T) {
	c := newClient(t, databases[0].url(t), "ann")
	hash, err := password.NewPool(1, 0, password.Cost{Memory: 32 << 10, Passes: 6}).Hash(t.Context(), "password")
	if err != nil {
		t.Fatal(err)
	}
	user, _, err := c.store.UserByEmail(t.Context(), "ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.UpdateUser(t.Context(), user.ID, func(u *store.User) { u.PasswordHash = hash }); err != nil {
		t.Fatal(err)
	}

	const logins = 40 // 2 workers, 16 may wait
	ctx, cancel := context.WithCancel(t.Context())
	statuses := make(chan int, logins)
	for range logins {
		go func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server.URL+"/api/users/login", strings.NewReader(`{"user": {"email": "ann@example.com", "password": "password"}}`))
			if err != nil {
				t.Error(err)
			}
			response, err := c.server.Client().Do(r)
			if err != nil {
				statuses <- 0
				return
			}
			response.Body.Close()
			if response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			statuses <- response.StatusCode
		}()
	}
	if got := <-statuses; got != http.StatusServiceUnavailable {
		t.Errorf("the first answer was %d, want 503: it is the only one that needs no hash", got)
	}
	c.run([]step{{do: "GET /api/tags", status: http.StatusOK}})
	cancel()
	for range logins - 1 {
		if got := <-statuses; got != 0 && got != http.StatusOK && got != http.StatusServiceUnavailable {
			t.Errorf("got %d", got)
		}
	}
}
