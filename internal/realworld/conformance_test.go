package realworld_test

import (
	"net/http"
	"strings"
	"testing"
)

// Responses that many steps expect.
const (
	noToken         = `{"errors": {"token": ["is missing"]}}`
	badToken        = `{"errors": {"token": ["is invalid"]}}`
	noArticle       = `{"errors": {"article": ["not found"]}}`
	noComment       = `{"errors": {"comment": ["not found"]}}`
	noProfile       = `{"errors": {"profile": ["not found"]}}`
	foreignArticle  = `{"errors": {"article": ["forbidden"]}}`
	foreignComment  = `{"errors": {"comment": ["forbidden"]}}`
	badCredentials  = `{"errors": {"credentials": ["invalid"]}}`
	ann             = `{"username": "ann", "bio": null, "image": null, "following": false}`
	annFollowed     = `{"username": "ann", "bio": null, "image": null, "following": true}`
	newArticle      = `{"article": {"title": "How to train", "description": "Ever wonder?", "body": "Very carefully.", "tagList": ["training", "dragons"]}}`
	noArticlesAtAll = `{"articles": [], "articlesCount": 0}`
)

// article is how one article looks, with some members changed.
func article(changes ...string) string {
	members := map[string]string{
		"slug": `"how-to-train"`, "title": `"How to train"`, "description": `"Ever wonder?"`, "body": `"Very carefully."`,
		"tagList": `["training", "dragons"]`, "createdAt": `"<time>"`, "updatedAt": `"<time>"`, "favorited": "false", "favoritesCount": "0", "author": ann,
	}
	for i := 0; i < len(changes); i += 2 {
		members[changes[i]] = changes[i+1]
	}
	var list []string
	for name, value := range members {
		if value != "" {
			list = append(list, `"`+name+`": `+value)
		}
	}
	return "{" + strings.Join(list, ", ") + "}"
}

// listed is how an article looks in a list.
func listed(changes ...string) string { return article(append([]string{"body", ""}, changes...)...) }

func one(article string) string { return `{"article": ` + article + `}` }

func list(count string, articles ...string) string {
	return `{"articles": [` + strings.Join(articles, ", ") + `], "articlesCount": ` + count + `}`
}

func errorAbout(field, message string) string {
	return `{"errors": {"` + field + `": ["` + message + `"]}}`
}

func invalid(field string) string { return errorAbout(field, "can't be blank") }

// scenarios are the API's behaviour, each on a new database with the users
// ann, bob and cleo.
var scenarios = map[string][]step{
	"registration": {
		{do: "POST /api/users", body: `{"user": {"username": "dan", "email": "Dan@Example.com", "password": "password"}}`, status: 201,
			want: `{"user": {"username": "dan", "email": "Dan@Example.com", "token": "<token>", "bio": null, "image": null}}`},
		{do: "POST /api/users", body: `{"user": {"username": "dan", "email": "other@example.com", "password": "password"}}`, status: 409, want: errorAbout("username", "has already been taken")},
		{do: "POST /api/users", body: `{"user": {"username": "other", "email": "dAN@example.COM", "password": "password"}}`, status: 409, want: errorAbout("email", "has already been taken")},
		// Names are as given: another case is another name.
		{do: "POST /api/users/", body: `{"user": {"username": "Dan", "email": "dan2@example.com", "password": "` + strings.Repeat("x", 64) + `"}}`, status: 201},
		{do: "POST /api/users", body: `{}`, status: 422, want: `{"errors": {"username": ["can't be blank"], "email": ["can't be blank"], "password": ["can't be blank"]}}`},
		{do: "POST /api/users", body: `{"user": {"username": "", "email": "x@example.com", "password": "password"}}`, status: 422, want: invalid("username")},
		{do: "POST /api/users", body: `{"user": {"username": null, "email": "x@example.com", "password": "password"}}`, status: 422, want: invalid("username")},
		{do: "POST /api/users", body: `{"user": {"username": " ", "email": "x@example.com", "password": "password"}}`, status: 422, want: invalid("username")},
		{do: "POST /api/users", body: `{"user": {"username": 7, "email": "x@example.com", "password": "password"}}`, status: 422, want: errorAbout("username", "must be a string")},
		{do: "POST /api/users", body: `{"user": {"username": "x\u0000", "email": "x@example.com", "password": "password"}}`, status: 422, want: errorAbout("username", "must not contain a null character")},
		{do: "POST /api/users", body: `{"user": {"username": "` + strings.Repeat("é", 256) + `", "email": "x@example.com", "password": "password"}}`, status: 422, want: errorAbout("username", "is too long (maximum is 255 characters)")},
		{do: "POST /api/users", body: `{"user": {"username": "x", "email": "", "password": "password"}}`, status: 422, want: invalid("email")},
		{do: "POST /api/users", body: `{"user": {"username": "x", "email": "nowhere", "password": "password"}}`, status: 422, want: errorAbout("email", "is invalid")},
		{do: "POST /api/users", body: `{"user": {"username": "x", "email": "x@example.com", "password": null}}`, status: 422, want: invalid("password")},
		{do: "POST /api/users", body: `{"user": {"username": "x", "email": "x@example.com", "password": ""}}`, status: 422, want: invalid("password")},
		{do: "POST /api/users", body: `{"user": {"username": "x", "email": "x@example.com", "password": "1234567"}}`, status: 422, want: errorAbout("password", "is too short (minimum is 8 characters)")},
		{do: "POST /api/users", body: `{"user": `, status: 422, want: errorAbout("body", "is not valid JSON for this request")},
		{do: "POST /api/users", body: `{} {}`, status: 422, want: errorAbout("body", "is not valid JSON for this request")},
		{do: "POST /api/users", body: ``, status: 422, want: errorAbout("body", "is not valid JSON for this request")},
		{do: "POST /api/users", body: `{"user": []}`, status: 422, want: errorAbout("body", "is not valid JSON for this request")},
		{do: "POST /api/users", body: `{"user": {"username": "` + strings.Repeat("x", 1<<20) + `"}}`, status: 413, want: errorAbout("body", "is too large")},
	},
	"login": {
		{do: "POST /api/users/login", body: `{"user": {"email": "ANN@example.com", "password": "password"}}`, status: 200,
			want: `{"user": {"username": "ann", "email": "ann@example.com", "token": "<token>", "bio": null, "image": null}}`},
		{do: "POST /api/users/login/", body: `{"user": {"email": "ann@example.com", "password": "wrong password"}}`, status: 401, want: badCredentials},
		{do: "POST /api/users/login", body: `{"user": {"email": "ann@example.com", "password": "short"}}`, status: 401, want: badCredentials},
		{do: "POST /api/users/login", body: `{"user": {"email": "nobody@example.com", "password": "password"}}`, status: 401, want: badCredentials},
		{do: "POST /api/users/login", body: `{"user": {"email": "' OR 1=1 --", "password": "password"}}`, status: 401, want: badCredentials},
		{do: "POST /api/users/login", body: `{"user": {"email": "", "password": "password"}}`, status: 422, want: invalid("email")},
		{do: "POST /api/users/login", body: `{"user": {"email": "ann@example.com", "password": ""}}`, status: 422, want: invalid("password")},
		{do: "POST /api/users/login", body: `{"user": {"email": "ann@example.com", "password": null}}`, status: 422, want: invalid("password")},
		{do: "POST /api/users/login", body: `{"user": {"email": "ann@example.com", "password": 12345678}}`, status: 422, want: errorAbout("password", "must be a string")},
		{do: "POST /api/users/login", body: `{"user": {}}`, status: 422, want: `{"errors": {"email": ["can't be blank"], "password": ["can't be blank"]}}`},
	},
	"current user": {
		{do: "GET /api/user", status: 401, want: noToken},
		{do: "PUT /api/user", body: `nonsense`, status: 401, want: noToken},
		{as: "ann", do: "GET /api/user/", status: 200, want: `{"user": {"username": "ann", "email": "ann@example.com", "token": "<token>", "bio": null, "image": null}}`},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"bio": "I like dragons", "image": "https://example.com/ann.png"}}`, status: 200,
			want: `{"user": {"username": "ann", "email": "ann@example.com", "token": "<token>", "bio": "I like dragons", "image": "https://example.com/ann.png"}}`},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"bio": ""}}`, status: 200,
			want: `{"user": {"username": "ann", "email": "ann@example.com", "token": "<token>", "bio": null, "image": "https://example.com/ann.png"}}`},
		{as: "ann", do: "PUT /api/user/", body: `{"user": {"image": null}}`, status: 200,
			want: `{"user": {"username": "ann", "email": "ann@example.com", "token": "<token>", "bio": null, "image": null}}`},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"email": ""}}`, status: 422, want: invalid("email")},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"email": null}}`, status: 422, want: invalid("email")},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"username": ""}}`, status: 422, want: invalid("username")},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"username": null}}`, status: 422, want: invalid("username")},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"password": ""}}`, status: 422, want: invalid("password")},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"password": null}}`, status: 422, want: invalid("password")},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"password": "1234567"}}`, status: 422, want: errorAbout("password", "is too short (minimum is 8 characters)")},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"bio": 7}}`, status: 422, want: errorAbout("bio", "must be a string or null")},
		{as: "ann", do: "PUT /api/user", body: `{"user": {}}`, status: 422, want: invalid("user")},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"username": "bob"}}`, status: 409, want: errorAbout("username", "has already been taken")},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"email": "BOB@example.com"}}`, status: 409, want: errorAbout("email", "has already been taken")},
		{as: "ann", do: "PUT /api/user", body: `{"user": {"email": "ANN@example.com"}}`, status: 200},
		// A token outlives a change of the name and of the password.
		{as: "ann", do: "PUT /api/user", body: `{"user": {"username": "anna", "password": "another password"}}`, status: 200},
		{as: "ann", do: "GET /api/user", status: 200, want: `{"user": {"username": "anna", "email": "ANN@example.com", "token": "<token>", "bio": null, "image": null}}`},
		{do: "POST /api/users/login", body: `{"user": {"email": "ann@example.com", "password": "password"}}`, status: 401, want: badCredentials},
		{do: "POST /api/users/login", body: `{"user": {"email": "ann@example.com", "password": "another password"}}`, status: 200},
	},
	"profiles": {
		{do: "GET /api/profiles/ann", status: 200, want: `{"profile": ` + ann + `}`},
		{as: "bob", do: "GET /api/profiles/ann/", status: 200, want: `{"profile": ` + ann + `}`},
		{do: "GET /api/profiles/nobody", status: 404, want: noProfile},
		{do: "GET /api/profiles/%00%ff", status: 404, want: noProfile},
		{do: "POST /api/profiles/nobody/follow", status: 401, want: noToken},
		{do: "DELETE /api/profiles/ann/follow", status: 401, want: noToken},
		{as: "bob", do: "POST /api/profiles/nobody/follow", status: 404, want: noProfile},
		{as: "bob", do: "DELETE /api/profiles/nobody/follow", status: 404, want: noProfile},
		{as: "bob", do: "POST /api/profiles/ann/follow", status: 200, want: `{"profile": ` + annFollowed + `}`},
		{as: "bob", do: "POST /api/profiles/ann/follow/", status: 200, want: `{"profile": ` + annFollowed + `}`},
		{as: "bob", do: "GET /api/profiles/ann", status: 200, want: `{"profile": ` + annFollowed + `}`},
		{as: "cleo", do: "GET /api/profiles/ann", status: 200, want: `{"profile": ` + ann + `}`},
		{as: "bob", do: "DELETE /api/profiles/ann/follow", status: 200, want: `{"profile": ` + ann + `}`},
		{as: "bob", do: "DELETE /api/profiles/ann/follow", status: 200, want: `{"profile": ` + ann + `}`},
		{as: "cleo", do: "PUT /api/user", body: `{"user": {"username": "Cleo / ü?"}}`, status: 200},
		{do: "GET /api/profiles/Cleo%20%2F%20%C3%BC%3F", status: 200, want: `{"profile": {"username": "Cleo / ü?", "bio": null, "image": null, "following": false}}`},
	},
	"an article's life": {
		{do: "POST /api/articles", body: `nonsense`, status: 401, want: noToken},
		{as: "ann", do: "POST /api/articles/", body: newArticle, status: 201, want: one(article())},
		{do: "GET /api/articles/how-to-train", status: 200, want: one(article())},
		{do: "GET /api/articles/how-to-train/", status: 200, want: one(article())},
		{do: "GET /api/articles/unknown", status: 404, want: noArticle},
		{do: "GET /api/articles/%00%ff", status: 404, want: noArticle},
		// Who may not, or what is not there, comes before what was sent.
		{do: "PUT /api/articles/unknown", body: `nonsense`, status: 401, want: noToken},
		{as: "bob", do: "PUT /api/articles/unknown", body: `nonsense`, status: 404, want: noArticle},
		{as: "bob", do: "PUT /api/articles/how-to-train", body: `nonsense`, status: 403, want: foreignArticle},
		{as: "ann", do: "PUT /api/articles/how-to-train", body: `nonsense`, status: 422, want: errorAbout("body", "is not valid JSON for this request")},
		{as: "ann", do: "PUT /api/articles/how-to-train", body: `{"article": {"body": "With love."}}`, status: 200, want: one(article("body", `"With love."`))},
		{as: "ann", do: "PUT /api/articles/how-to-train", body: `{}`, status: 422, want: invalid("article")},
		{as: "ann", do: "PUT /api/articles/how-to-train", body: `{"article": {}}`, status: 200, want: one(article("body", `"With love."`))},
		{as: "ann", do: "PUT /api/articles/how-to-train", body: `{"article": {"title": ""}}`, status: 422, want: invalid("title")},
		{as: "ann", do: "PUT /api/articles/how-to-train", body: `{"article": {"title": null}}`, status: 422, want: invalid("title")},
		{as: "ann", do: "PUT /api/articles/how-to-train", body: `{"article": {"description": ""}}`, status: 422, want: invalid("description")},
		{as: "ann", do: "PUT /api/articles/how-to-train", body: `{"article": {"body": " "}}`, status: 422, want: invalid("body")},
		{as: "ann", do: "PUT /api/articles/how-to-train", body: `{"article": {"tagList": null}}`, status: 422, want: errorAbout("tagList", "must be an array of strings")},
		{as: "ann", do: "PUT /api/articles/how-to-train", body: `{"article": {"tagList": ["b", "a", "c", "b"]}}`, status: 200, want: one(article("body", `"With love."`, "tagList", `["b", "a", "c"]`))},
		{as: "ann", do: "PUT /api/articles/how-to-train/", body: `{"article": {"tagList": []}}`, status: 200, want: one(article("body", `"With love."`, "tagList", `[]`))},
		// A new title is a new address, and the old one is gone.
		{as: "ann", do: "PUT /api/articles/how-to-train", body: `{"article": {"title": "How not to"}}`, status: 200,
			want: one(article("slug", `"how-not-to"`, "title", `"How not to"`, "body", `"With love."`, "tagList", `[]`))},
		{do: "GET /api/articles/how-to-train", status: 404, want: noArticle},
		{do: "DELETE /api/articles/how-not-to", status: 401, want: noToken},
		{as: "bob", do: "DELETE /api/articles/how-not-to", status: 403, want: foreignArticle},
		{as: "bob", do: "DELETE /api/articles/unknown", status: 404, want: noArticle},
		{as: "bob", do: "POST /api/articles/how-not-to/favorite", status: 200},
		{as: "bob", do: "POST /api/articles/how-not-to/comments", body: `{"comment": {"body": "Thanks"}}`, status: 201},
		{as: "ann", do: "DELETE /api/articles/how-not-to", status: 204},
		{as: "ann", do: "DELETE /api/articles/how-not-to", status: 404, want: noArticle},
		{do: "GET /api/articles", status: 200, want: noArticlesAtAll},
		{do: "GET /api/articles?favorited=bob", status: 200, want: noArticlesAtAll},
	},
	"articles that cannot be": {
		{as: "ann", do: "POST /api/articles", body: `{}`, status: 422, want: `{"errors": {"title": ["can't be blank"], "description": ["can't be blank"], "body": ["can't be blank"]}}`},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "", "description": "d", "body": "b"}}`, status: 422, want: invalid("title")},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "t", "description": "", "body": "b"}}`, status: 422, want: invalid("description")},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "t", "description": "d", "body": ""}}`, status: 422, want: invalid("body")},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "t", "description": "d", "body": "\u0000"}}`, status: 422, want: errorAbout("body", "must not contain a null character")},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "t", "description": "d", "body": "b", "tagList": null}}`, status: 422, want: errorAbout("tagList", "must be an array of strings")},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "t", "description": "d", "body": "b", "tagList": "x"}}`, status: 422, want: errorAbout("tagList", "must be an array of strings")},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "t", "description": "d", "body": "b", "tagList": [1]}}`, status: 422, want: errorAbout("tagList", "must be a string")},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "t", "description": "d", "body": "b", "tagList": [null]}}`, status: 422, want: errorAbout("tagList", "can't be blank")},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "t", "description": "d", "body": "b", "tagList": ["x\u0000"]}}`, status: 422, want: errorAbout("tagList", "must not contain a null character")},
		{do: "GET /api/articles", status: 200, want: noArticlesAtAll},
		{do: "GET /api/tags", status: 200, want: `{"tags": []}`},
	},
	"slugs": {
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "Same", "description": "d", "body": "b"}}`, status: 201,
			want: one(article("slug", `"same"`, "title", `"Same"`, "description", `"d"`, "body", `"b"`, "tagList", `[]`))},
		{as: "bob", do: "POST /api/articles", body: `{"article": {"title": "Same", "description": "other", "body": "b"}}`, status: 201, keep: "second=article.slug"},
		{do: "GET /api/articles/same", status: 200, want: one(article("slug", `"same"`, "title", `"Same"`, "description", `"d"`, "body", `"b"`, "tagList", `[]`))},
		{do: "GET /api/articles/{second}", status: 200, want: one(article("slug", `"{second}"`, "title", `"Same"`, "description", `"other"`, "body", `"b"`, "tagList", `[]`, "author", strings.Replace(ann, "ann", "bob", 1)))},
		// The same title again is no new one.
		{as: "bob", do: "PUT /api/articles/{second}", body: `{"article": {"title": "Same"}}`, status: 200, keep: "unchanged=article.slug"},
		{do: "GET /api/articles/{second}", status: 200},
		{as: "ann", do: "PUT /api/articles/same", body: `{"article": {"title": "Same!"}}`, status: 200,
			want: one(article("slug", `"same"`, "title", `"Same!"`, "description", `"d"`, "body", `"b"`, "tagList", `[]`))},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "Привет, мир", "description": "d", "body": "b"}}`, status: 201, keep: "cyrillic=article.slug"},
		{do: "GET /api/articles/%D0%BF%D1%80%D0%B8%D0%B2%D0%B5%D1%82-%D0%BC%D0%B8%D1%80", status: 200},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "🎉", "description": "d", "body": "b"}}`, status: 201,
			want: one(article("slug", `"article"`, "title", `"🎉"`, "description", `"d"`, "body", `"b"`, "tagList", `[]`))},
		// At its own slug nobody could read this one: the feed is there.
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "Feed", "description": "d", "body": "b"}}`, status: 201, keep: "feed=article.slug"},
		{do: "GET /api/articles/{feed}", status: 200, want: one(article("slug", `"{feed}"`, "title", `"Feed"`, "description", `"d"`, "body", `"b"`, "tagList", `[]`))},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "` + strings.Repeat("long ", 5000) + `", "description": "d", "body": "b"}}`, status: 201},
	},
	"favorites": {
		{as: "ann", do: "POST /api/articles", body: newArticle, status: 201},
		{do: "POST /api/articles/unknown/favorite", status: 401, want: noToken},
		{do: "DELETE /api/articles/how-to-train/favorite", status: 401, want: noToken},
		{as: "bob", do: "POST /api/articles/unknown/favorite", status: 404, want: noArticle},
		{as: "bob", do: "DELETE /api/articles/unknown/favorite", status: 404, want: noArticle},
		{as: "bob", do: "POST /api/articles/how-to-train/favorite", status: 200, want: one(article("favorited", "true", "favoritesCount", "1"))},
		{as: "bob", do: "POST /api/articles/how-to-train/favorite/", status: 200, want: one(article("favorited", "true", "favoritesCount", "1"))},
		{as: "cleo", do: "POST /api/articles/how-to-train/favorite", status: 200, want: one(article("favorited", "true", "favoritesCount", "2"))},
		{as: "ann", do: "GET /api/articles/how-to-train", status: 200, want: one(article("favoritesCount", "2"))},
		{do: "GET /api/articles/how-to-train", status: 200, want: one(article("favoritesCount", "2"))},
		{as: "bob", do: "GET /api/articles", status: 200, want: list("1", listed("favorited", "true", "favoritesCount", "2"))},
		{as: "bob", do: "DELETE /api/articles/how-to-train/favorite", status: 200, want: one(article("favoritesCount", "1"))},
		{as: "bob", do: "DELETE /api/articles/how-to-train/favorite", status: 200, want: one(article("favoritesCount", "1"))},
		{do: "GET /api/articles?favorited=cleo", status: 200, want: list("1", listed("favoritesCount", "1"))},
		{do: "GET /api/articles?favorited=bob", status: 200, want: noArticlesAtAll},
	},
	"lists": {
		{do: "GET /api/articles/", status: 200, want: noArticlesAtAll},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "A", "description": "d", "body": "b", "tagList": ["x", "100%"]}}`, status: 201},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "B", "description": "d", "body": "b", "tagList": ["y", "x"]}}`, status: 201},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "C", "description": "d", "body": "b"}}`, status: 201},
		{do: "GET /api/articles", status: 200, want: list("3", short("c"), short("b", "y", "x"), short("a", "x", "100%"))},
		{do: "GET /api/articles?limit=1", status: 200, want: list("3", short("c"))},
		{do: "GET /api/articles?limit=1&offset=1", status: 200, want: list("3", short("b", "y", "x"))},
		{do: "GET /api/articles?offset=3", status: 200, want: list("3")},
		{do: "GET /api/articles?tag=x&offset=5", status: 200, want: list("2")},
		{do: "GET /api/articles?tag=x", status: 200, want: list("2", short("b", "y", "x"), short("a", "x", "100%"))},
		{do: "GET /api/articles?tag=x&author=ann&limit=1", status: 200, want: list("2", short("b", "y", "x"))},
		{do: "GET /api/articles?author=bob", status: 200, want: noArticlesAtAll},
		{do: "GET /api/articles?author=nobody", status: 200, want: noArticlesAtAll},
		{do: "GET /api/articles?tag=unknown", status: 200, want: noArticlesAtAll},
		{do: "GET /api/articles?tag=%25", status: 200, want: noArticlesAtAll},
		{do: "GET /api/articles?tag=100%25", status: 200, want: list("1", short("a", "x", "100%"))},
		{do: "GET /api/articles?tag=x'%20OR%20'1'='1", status: 200, want: noArticlesAtAll},
		{do: "GET /api/articles?tag=%00&author=%ff&favorited=%00", status: 200, want: noArticlesAtAll},
		{do: "GET /api/articles?limit=0", status: 422, want: errorAbout("limit", "must be an integer of at least 1")},
		{do: "GET /api/articles?limit=-1", status: 422, want: errorAbout("limit", "must be an integer of at least 1")},
		{do: "GET /api/articles?limit=ten", status: 422, want: errorAbout("limit", "must be an integer of at least 1")},
		{do: "GET /api/articles?limit=9999999999999999999", status: 422, want: errorAbout("limit", "must be an integer of at least 1")},
		{do: "GET /api/articles?limit=1000000", status: 200, want: list("3", short("c"), short("b", "y", "x"), short("a", "x", "100%"))},
		{do: "GET /api/articles?offset=-1", status: 422, want: errorAbout("offset", "must be an integer of at least 0")},
		{do: "GET /api/tags", status: 200, want: `{"tags": ["100%", "x", "y"]}`},
		{do: "GET /api/tags/", status: 200, want: `{"tags": ["100%", "x", "y"]}`},
		{as: "ann", do: "DELETE /api/articles/b", status: 204},
		{do: "GET /api/tags", status: 200, want: `{"tags": ["100%", "x"]}`},
	},
	"feed": {
		{do: "GET /api/articles/feed", status: 401, want: noToken},
		{do: "GET /api/articles/feed?limit=x", status: 401, want: noToken},
		{as: "bob", do: "GET /api/articles/feed", status: 200, want: noArticlesAtAll},
		{as: "ann", do: "POST /api/articles", body: newArticle, status: 201},
		{as: "cleo", do: "POST /api/articles", body: newArticle, status: 201},
		{as: "bob", do: "GET /api/articles/feed", status: 200, want: noArticlesAtAll},
		{as: "bob", do: "POST /api/profiles/ann/follow", status: 200},
		{as: "bob", do: "GET /api/articles/feed/", status: 200, want: list("1", listed("author", annFollowed))},
		{as: "bob", do: "GET /api/articles/feed?offset=1", status: 200, want: list("1")},
		{as: "bob", do: "GET /api/articles/feed?limit=0", status: 422, want: errorAbout("limit", "must be an integer of at least 1")},
		{as: "bob", do: "GET /api/articles/how-to-train", status: 200, want: one(article("author", annFollowed))},
		{as: "ann", do: "GET /api/articles/feed", status: 200, want: noArticlesAtAll},
		{as: "bob", do: "DELETE /api/profiles/ann/follow", status: 200},
		{as: "bob", do: "GET /api/articles/feed", status: 200, want: noArticlesAtAll},
	},
	"comments": {
		{as: "ann", do: "POST /api/articles", body: newArticle, status: 201},
		{as: "ann", do: "POST /api/articles", body: `{"article": {"title": "Other", "description": "d", "body": "b"}}`, status: 201},
		{do: "GET /api/articles/how-to-train/comments", status: 200, want: `{"comments": []}`},
		{do: "GET /api/articles/unknown/comments", status: 404, want: noArticle},
		{do: "POST /api/articles/unknown/comments", body: `nonsense`, status: 401, want: noToken},
		{as: "bob", do: "POST /api/articles/unknown/comments", body: `{"comment": {"body": ""}}`, status: 404, want: noArticle},
		{as: "bob", do: "POST /api/articles/how-to-train/comments", body: `{"comment": {"body": ""}}`, status: 422, want: invalid("body")},
		{as: "bob", do: "POST /api/articles/how-to-train/comments", body: `{"comment": {}}`, status: 422, want: invalid("body")},
		{as: "bob", do: "POST /api/articles/how-to-train/comments", body: `{"comment": {"body": null}}`, status: 422, want: invalid("body")},
		{as: "ann", do: "POST /api/articles/how-to-train/comments/", body: `{"comment": {"body": "First"}}`, status: 201, keep: "first=comment.id",
			want: `{"comment": {"id": "<id>", "createdAt": "<time>", "updatedAt": "<time>", "body": "First", "author": ` + ann + `}}`},
		{as: "bob", do: "POST /api/articles/how-to-train/comments", body: `{"comment": {"body": "Second"}}`, status: 201, keep: "second=comment.id"},
		{as: "bob", do: "POST /api/profiles/ann/follow", status: 200},
		{as: "bob", do: "GET /api/articles/how-to-train/comments/", status: 200, want: `{"comments": [
			{"id": {second}, "createdAt": "<time>", "updatedAt": "<time>", "body": "Second", "author": {"username": "bob", "bio": null, "image": null, "following": false}},
			{"id": {first}, "createdAt": "<time>", "updatedAt": "<time>", "body": "First", "author": ` + annFollowed + `}]}`},
		{do: "DELETE /api/articles/how-to-train/comments/{first}", status: 401, want: noToken},
		// The article is looked for before the comment.
		{as: "bob", do: "DELETE /api/articles/unknown/comments/{first}", status: 404, want: noArticle},
		{as: "bob", do: "DELETE /api/articles/unknown/comments/99999", status: 404, want: noArticle},
		{as: "bob", do: "DELETE /api/articles/how-to-train/comments/99999", status: 404, want: noComment},
		{as: "bob", do: "DELETE /api/articles/how-to-train/comments/x", status: 404, want: noComment},
		{as: "ann", do: "DELETE /api/articles/other/comments/{first}", status: 404, want: noComment},
		// Not even the article's author may remove what others say.
		{as: "ann", do: "DELETE /api/articles/how-to-train/comments/{second}", status: 403, want: foreignComment},
		{as: "bob", do: "DELETE /api/articles/how-to-train/comments/{second}/", status: 204},
		{as: "bob", do: "DELETE /api/articles/how-to-train/comments/{second}", status: 404, want: noComment},
		{do: "GET /api/articles/how-to-train/comments", status: 200,
			want: `{"comments": [{"id": {first}, "createdAt": "<time>", "updatedAt": "<time>", "body": "First", "author": ` + ann + `}]}`},
	},
	"paths and methods": {
		{do: "GET /", status: 404, want: errorAbout("path", "not found")},
		{do: "GET /api", status: 404, want: errorAbout("path", "not found")},
		{do: "GET /api/unknown", status: 404, want: errorAbout("path", "not found")},
		{do: "GET /api/articles/a/b/c/d", status: 404, want: errorAbout("path", "not found")},
		{do: "PATCH /api/user", status: 405, want: errorAbout("method", "is not allowed")},
		{do: "DELETE /api/tags", status: 405, want: errorAbout("method", "is not allowed")},
		{do: "OPTIONS /api/articles", status: 204},
		{do: "GET /healthz", status: 200, want: `{"status": "alive"}`},
		{do: "GET /readyz", status: 200, want: `{"status": "ready"}`},
	},
}

// short is how an article of ann's looks in a list, its title one letter.
func short(slug string, tags ...string) string {
	list := "[]"
	if len(tags) > 0 {
		list = `["` + strings.Join(tags, `", "`) + `"]`
	}
	return listed("slug", `"`+slug+`"`, "title", `"`+strings.ToUpper(slug)+`"`, "description", `"d"`, "tagList", list)
}

func TestConformance(t *testing.T) {
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) {
			for name, steps := range scenarios {
				t.Run(name, func(t *testing.T) {
					newClient(t, database.url(t), "ann", "bob", "cleo").run(steps)
				})
			}
		})
	}
}

// A token that is not good is refused wherever a token is looked at, and
// nowhere else.
func TestBadTokens(t *testing.T) {
	onEach(t, func(t *testing.T, databaseURL string) {
		c := newClient(t, databaseURL, "ann")
		c.run([]step{{as: "ann", do: "POST /api/articles", body: newArticle, status: 201}})
		c.tokens["mallory"] = c.tokens["ann"][:len(c.tokens["ann"])-2] + "xx"
		for _, request := range []string{"GET /api/user", "GET /api/articles", "GET /api/articles/feed", "GET /api/articles/how-to-train", "GET /api/profiles/ann", "POST /api/articles"} {
			c.run([]step{{as: "mallory", do: request, status: http.StatusUnauthorized, want: badToken}})
		}
		c.run([]step{
			{as: "mallory", do: "GET /api/tags", status: http.StatusOK},
			{as: "mallory", do: "POST /api/users/login", body: `{"user": {"email": "ann@example.com", "password": "password"}}`, status: http.StatusOK},
		})
	})
}
