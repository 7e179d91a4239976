package controller

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// MetricsAudience is whom a token must be made for that reads the metrics. One that
// is good for the API server is not asked for.
const MetricsAudience = "berth-ingress"

// tokenMemory is how long a token that was good is taken without asking again.
const tokenMemory = time.Minute

// readers lets in who may read metrics: the bearer of a token of one service account.
// The API server says whose a token is.
type readers struct {
	client client.Client
	user   string

	mu    sync.Mutex
	known map[[sha256.Size]byte]time.Time // until when
}

// newReaders returns those of a service account, NAMESPACE/NAME.
func newReaders(c client.Client, account string) *readers {
	return &readers{client: c, user: "system:serviceaccount:" + strings.Replace(account, "/", ":", 1), known: map[[sha256.Size]byte]time.Time{}}
}

func (r *readers) protect(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, request *http.Request) {
		token, ok := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
		if !ok {
			http.Error(w, "a token is wanted", http.StatusUnauthorized)
			return
		}
		good, err := r.good(request.Context(), token)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case !good:
			http.Error(w, "this token is not for the metrics", http.StatusForbidden)
		default:
			next.ServeHTTP(w, request)
		}
	})
	return mux
}

// good reports whether a token is one of the service account, for this.
func (r *readers) good(ctx context.Context, token string) (bool, error) {
	sum := sha256.Sum256([]byte(token))
	r.mu.Lock() // one question at a time
	defer r.mu.Unlock()
	now := time.Now()
	if now.Before(r.known[sum]) {
		return true, nil
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{MetricsAudience}}}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := r.client.Create(ctx, review); err != nil {
		return false, fmt.Errorf("ask whose the token is: %w", err)
	}
	s := review.Status
	if !s.Authenticated || s.User.Username != r.user || !slices.Contains(s.Audiences, MetricsAudience) {
		return false, nil
	}
	for other, until := range r.known {
		if now.After(until) {
			delete(r.known, other)
		}
	}
	r.known[sum] = now.Add(tokenMemory)
	return true, nil
}
