package fake

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/digitalocean/godo"
)

// apiError is an answer of the API that is no success.
type apiError struct {
	status  int
	id      string
	message string
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.id, e.message) }

// What the API says in the commonest cases. It does not tell which scope is
// missing.
var (
	errNotFound  = &apiError{http.StatusNotFound, "not_found", "The resource you were accessing could not be found."}
	errForbidden = &apiError{http.StatusForbidden, "forbidden", "You are not authorized to perform this operation"}
)

func unprocessable(format string, arguments ...any) *apiError {
	return &apiError{http.StatusUnprocessableEntity, "unprocessable_entity", fmt.Sprintf(format, arguments...)}
}

func badRequest(format string, arguments ...any) *apiError {
	return &apiError{http.StatusBadRequest, "bad_request", fmt.Sprintf(format, arguments...)}
}

func asAPIError(err error) *apiError {
	var e *apiError
	if errors.As(err, &e) {
		return e
	}
	return &apiError{http.StatusInternalServerError, "server_error", err.Error()}
}

func (e *apiError) write(w http.ResponseWriter, requestID string) {
	w.WriteHeader(e.status)
	// An error here is one of a client that has gone.
	_ = json.NewEncoder(w).Encode(map[string]string{"id": e.id, "message": e.message, "request_id": requestID})
}

// decode reads the body of a request.
func decode(r *http.Request, into any) error {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return badRequest("Unable to parse JSON: %v", err)
	}
	return nil
}

// page cuts the page that the request asks for out of a list, and says where the
// others are: 20 on a page unless asked otherwise, and at most 200.
func page[T any](r *http.Request, name string, all []T) (map[string]any, error) {
	query := r.URL.Query()
	number, err := pageNumber(query, "page", 1)
	if err != nil {
		return nil, err
	}
	size, err := pageNumber(query, "per_page", 20)
	if err != nil {
		return nil, err
	}
	size = min(size, 200)
	last := max((len(all)+size-1)/size, 1)
	begin := min((number-1)*size, len(all))
	items := all[begin:min(begin+size, len(all))]
	if items == nil {
		items = []T{}
	}

	link := func(number int) string {
		next := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path}
		query.Set("page", strconv.Itoa(number))
		next.RawQuery = query.Encode()
		return next.String()
	}
	links := &godo.Links{}
	if last > 1 {
		links.Pages = &godo.Pages{}
		if number > 1 {
			links.Pages.First, links.Pages.Prev = link(1), link(number-1)
		}
		if number < last {
			links.Pages.Next, links.Pages.Last = link(number+1), link(last)
		}
	}
	return map[string]any{name: items, "links": links, "meta": godo.Meta{Total: len(all)}}, nil
}

func pageNumber(query url.Values, name string, standard int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return standard, nil
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		return 0, badRequest("%s must be a positive number", name)
	}
	return number, nil
}

// find returns the first of a list that matches, or an error of status 404.
func find[T any](all []*T, matches func(*T) bool) (*T, error) {
	if i := slices.IndexFunc(all, matches); i >= 0 {
		return all[i], nil
	}
	return nil, errNotFound
}

func orElse(value, standard string) string {
	if value == "" {
		return standard
	}
	return value
}

// with returns an endpoint that works on what a request is about.
func with[T any](about func(*http.Request) (T, error), work func(*http.Request, T) (int, any, error)) endpoint {
	return func(r *http.Request) (int, any, error) {
		thing, err := about(r)
		if err != nil {
			return 0, nil, err
		}
		return work(r, thing)
	}
}
