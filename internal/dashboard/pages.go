package dashboard

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"
)

// view is what a page's shell is rendered with.
type view struct {
	// Page is the template of what is between header and footer, and what the
	// navigation marks.
	Page, Title string
	Environment string
	Revision    int
	// Data is the page's own.
	Data any
}

func (s *server) show(w http.ResponseWriter, v view) { s.render(w, http.StatusOK, "shell", v) }

func (s *server) missing(w http.ResponseWriter, why string) {
	s.render(w, http.StatusNotFound, "shell", view{Page: "missing", Title: "Not found", Data: why})
}

// render writes a template whole, or an error and nothing of it.
func (s *server) render(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "500 the page cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // A browser that has gone is told nothing.
}

func (s *server) page(name, title string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { s.show(w, view{Page: name, Title: title}) }
}

func (s *server) home(w http.ResponseWriter, _ *http.Request) {
	s.show(w, view{Page: "home", Title: "Environments"})
}

// environment is the one that a request names; where there is none, it answers so.
func (s *server) environment(w http.ResponseWriter, r *http.Request) (string, bool) {
	name := r.PathValue("environment")
	if !slices.Contains(s.app.Environments, name) {
		s.missing(w, "There is no such environment.")
		return "", false
	}
	return name, true
}

// revision is the one that a request names.
func (s *server) revision(w http.ResponseWriter, number string) (int, bool) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		s.missing(w, "There is no such revision.")
		return 0, false
	}
	return n, true
}

func (s *server) ofEnvironment(name, before string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		environment, ok := s.environment(w, r)
		if !ok {
			return
		}
		v := view{Page: name, Title: before + environment, Environment: environment}
		if name == "logs" {
			v.Data = fieldsOf(r.URL.Query())
		}
		s.show(w, v)
	}
}

func (s *server) story(w http.ResponseWriter, r *http.Request) {
	environment, ok := s.environment(w, r)
	if !ok {
		return
	}
	if number, ok := s.revision(w, r.PathValue("revision")); ok {
		s.show(w, view{Page: "story", Title: "Revision " + strconv.Itoa(number) + " of " + environment, Environment: environment, Revision: number})
	}
}

// part answers with a fragment of what look finds. That something cannot be found is
// shown in its place.
func part[T any](s *server, w http.ResponseWriter, r *http.Request, name string, look func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	found, err := look(ctx)
	if err != nil {
		if ctx.Err() != nil && r.Context().Err() != nil {
			return // Nobody waits for it any more.
		}
		s.render(w, http.StatusOK, "problem", err)
		return
	}
	s.render(w, http.StatusOK, name, found)
}
