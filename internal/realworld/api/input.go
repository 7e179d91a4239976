package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"berth/internal/realworld/store"
)

// Limits of what is kept. Names are entries of an index, which PostgreSQL
// bounds at 2,704 bytes.
const (
	maxName     = 255 // characters of a username, an email, a tag
	maxTags     = 50
	minPassword = 8
	defaultPage = 20
	maxPage     = 1000
)

// decode reads the JSON of a request's body into what input points to.
func (x *exchange) decode(input any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(x.ResponseWriter, x.request.Body, MaxBody))
	err := decoder.Decode(input)
	if err == nil {
		if _, err = decoder.Token(); err == io.EOF {
			return nil
		}
		if err == nil {
			err = errors.New("more than one value")
		}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return problem{http.StatusRequestEntityTooLarge, messages{"body": {"is too large"}}}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem{http.StatusRequestTimeout, messages{"body": {"took too long to arrive"}}}
	}
	return messages{"body": {"is not valid JSON for this request"}}.invalid()
}

// A field is a member of a JSON object that may be absent, null, of the wrong
// type, or a value. It takes all of them, so that one response can name
// everything that is wrong.
type field[T any] struct {
	present, null, wrong bool
	value                T
}

// UnmarshalJSON is called for a member that is present, null included.
func (f *field[T]) UnmarshalJSON(b []byte) error {
	*f = field[T]{present: true}
	if string(b) == "null" {
		f.null = true
		return nil
	}
	f.wrong = json.Unmarshal(b, &f.value) != nil
	return nil
}

// text checks a text that must have something in it, if it is present.
func (m messages) text(about string, f field[string]) {
	switch {
	case !f.present:
	case f.wrong:
		m.add(about, "must be a string")
	case f.null || strings.TrimSpace(f.value) == "":
		m.add(about, blank)
	case strings.ContainsRune(f.value, 0): // PostgreSQL cannot keep it
		m.add(about, "must not contain a null character")
	}
}

// name checks a text that is also an entry of an index.
func (m messages) name(about string, f field[string]) {
	m.text(about, f)
	if utf8.RuneCountInString(f.value) > maxName {
		m.add(about, fmt.Sprintf("is too long (maximum is %d characters)", maxName))
	}
}

func (m messages) email(f field[string]) {
	before := len(m)
	m.name("email", f)
	if f.present && len(m) == before {
		if at := strings.IndexByte(f.value, '@'); at < 1 || at == len(f.value)-1 || strings.ContainsAny(f.value, " \t\r\n") {
			m.add("email", "is invalid")
		}
	}
}

func (m messages) password(f field[string]) {
	switch {
	case !f.present:
	case f.wrong:
		m.add("password", "must be a string")
	case f.null || f.value == "":
		m.add("password", blank)
	case utf8.RuneCountInString(f.value) < minPassword:
		m.add("password", fmt.Sprintf("is too short (minimum is %d characters)", minPassword))
	}
}

// required adds to the messages for a field that is not there.
func (m messages) required(about string, present bool) {
	if !present {
		m.add(about, blank)
	}
}

// optionalText checks a text that may be null, which an empty one is too.
func (m messages) optionalText(about string, f field[string]) {
	if f.wrong {
		m.add(about, "must be a string or null")
	} else if strings.ContainsRune(f.value, 0) {
		m.add(about, "must not contain a null character")
	}
}

// tags checks the tags of an article and returns them without repetitions.
func (m messages) tags(f field[[]field[string]]) []string {
	if f.wrong || f.null {
		m.add("tagList", "must be an array of strings")
		return nil
	}
	found := make(messages)
	tags, seen := []string{}, map[string]bool{}
	for _, tag := range f.value {
		tag.present = true // null does not say so itself inside of an array
		found.name("tagList", tag)
		if !seen[tag.value] {
			seen[tag.value] = true
			tags = append(tags, tag.value)
		}
	}
	if len(tags) > maxTags {
		found.add("tagList", fmt.Sprintf("is too long (maximum is %d tags)", maxTags))
	}
	if len(found) > 0 {
		m.add("tagList", found["tagList"][0])
	}
	return tags
}

// page reads the limit and the offset of a list from the query.
func (x *exchange) page() (store.Page, error) {
	query := x.request.URL.Query()
	page := store.Page{Limit: defaultPage}
	found := make(messages)
	number := func(name string, minimum int64, to *int64) {
		if !query.Has(name) {
			return
		}
		n, err := strconv.ParseInt(query.Get(name), 10, 64)
		if err != nil || n < minimum {
			found.add(name, fmt.Sprintf("must be an integer of at least %d", minimum))
			return
		}
		*to = n
	}
	number("limit", 1, &page.Limit)
	number("offset", 0, &page.Offset)
	page.Limit = min(page.Limit, maxPage)
	return page, found.invalid()
}

// storable makes a text out of a path or a query one that may be asked for in
// any database. What it changes can name nothing that exists.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// parameter returns a part of the path by its name in the route.
func (x *exchange) parameter(name string) string { return storable(x.request.PathValue(name)) }
