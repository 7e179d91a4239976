package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// Of all tokens, only one of the reader's that was made for the metrics opens them.
// The API server is asked about a good one now and then, and not each time.
func TestWhoMayReadMetrics(t *testing.T) {
	asked := 0
	api := interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme.Scheme).Build(), interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
			asked++
			review := object.(*authenticationv1.TokenReview)
			account, audience, _ := strings.Cut(review.Spec.Token, " for ")
			if account == "away" {
				return errors.New("connection refused")
			}
			review.Status.Authenticated = account != "nobody" && slices.Contains(review.Spec.Audiences, audience)
			review.Status.User.Username = "system:serviceaccount:" + account
			if review.Status.Authenticated {
				review.Status.Audiences = []string{audience}
			}
			return nil
		},
	})
	handler := newReaders(api, "metrics/metrics").protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "counters") }))
	for _, test := range []struct {
		header, path string
		want         int
	}{
		{"", "/metrics", http.StatusUnauthorized},
		{"Basic bWV0cmljczo=", "/metrics", http.StatusUnauthorized},
		{"Bearer nobody for berth-ingress", "/metrics", http.StatusForbidden},
		{"Bearer shop:default for berth-ingress", "/metrics", http.StatusForbidden},
		{"Bearer metrics:metrics for kubernetes", "/metrics", http.StatusForbidden},
		{"Bearer away", "/metrics", http.StatusServiceUnavailable},
		{"Bearer metrics:metrics for berth-ingress", "/healthz", http.StatusNotFound},
		{"Bearer metrics:metrics for berth-ingress", "/metrics", http.StatusOK},
	} {
		request := httptest.NewRequest(http.MethodGet, test.path, nil)
		request.Header.Set("Authorization", test.header)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != test.want || (recorder.Body.String() == "counters") != (test.want == http.StatusOK) {
			t.Errorf("%q to %s: %d %s", test.header, test.path, recorder.Code, recorder.Body)
		}
	}
	before := asked
	for range 3 {
		request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		request.Header.Set("Authorization", "Bearer metrics:metrics for berth-ingress")
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}
	if asked != before {
		t.Errorf("the API server is asked %d more times", asked-before)
	}
}
