package fake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"golang.org/x/oauth2"

	"berth/internal/fakedo/fake"
)

func TestFaults(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	api, ctx := client(t, server.URL, "token"), t.Context()

	server.Inject(fake.Fault{Method: http.MethodGet, Path: "/v2/account", After: 1, Times: 2, Status: http.StatusServiceUnavailable})
	for n, want := range []int{200, 503, 503, 200} {
		_, response, _ := api.Account.Get(ctx)
		if response.StatusCode != want {
			t.Errorf("request %d is answered %d, not %d", n, response.StatusCode, want)
		}
	}

	// The cluster is made, and nobody is told.
	server.Inject(fake.Fault{Method: http.MethodPost, Path: "/v2/kubernetes/clusters", LoseAnswer: true})
	if _, _, err := api.Kubernetes.Create(ctx, clusterRequest("")); err == nil {
		t.Error("a lost answer was no error")
	}
	clusters := must[[]*godo.KubernetesCluster](t)(api.Kubernetes.List(ctx, nil))
	if len(clusters) != 1 {
		t.Errorf("there are %d clusters", len(clusters))
	}

	server.Inject(fake.Fault{Method: http.MethodDelete, Path: "/v2/kubernetes/clusters/*", Hang: true})
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := api.Kubernetes.Delete(short, clusters[0].ID); err == nil {
		t.Error("a request that hangs was answered")
	}
	if _, _, err := api.Kubernetes.Get(ctx, clusters[0].ID); err != nil {
		t.Errorf("a request that hung was carried out: %v", err)
	}
}

func TestRateLimit(t *testing.T) {
	clock := newClock()
	server := fake.Start(t, fake.Options{RateLimit: 2, RateWindow: time.Minute, Now: clock.Now})
	api, ctx := client(t, server.URL, "token"), t.Context()
	for want := 1; want >= 0; want-- {
		_, response, err := api.Account.Get(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if response.Rate.Limit != 2 || response.Rate.Remaining != want || !response.Rate.Reset.Equal(godo.Timestamp{Time: clock.now.Add(time.Minute)}) {
			t.Errorf("the rate is %+v", response.Rate)
		}
	}
	_, response, err := api.Account.Get(ctx)
	wantStatus(t, err, http.StatusTooManyRequests)
	// Only an answer to a burst says how many seconds to wait; this is the limit
	// of the hour.
	if wait, reset := response.Header.Get("Retry-After"), response.Header.Get("RateLimit-Reset"); wait != "" || reset != strconv.FormatInt(clock.now.Add(time.Minute).Unix(), 10) {
		t.Errorf("Retry-After is %q, RateLimit-Reset %q", wait, reset)
	}
	clock.now = clock.now.Add(2 * time.Minute)
	if _, _, err := api.Account.Get(ctx); err != nil {
		t.Error(err)
	}
}

// The client library waits for as long as an answer of status 429 says.
func TestRetryAfter(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "token"})
	api, err := godo.New(oauth2.NewClient(context.Background(), source), godo.SetBaseURL(server.URL+"/"), godo.WithRetryAndBackoffs(godo.RetryConfig{RetryMax: 2}))
	if err != nil {
		t.Fatal(err)
	}
	server.Inject(fake.Fault{Status: http.StatusTooManyRequests, RetryAfter: time.Second})
	if _, _, err := api.Account.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	requests := server.Requests()
	if len(requests) != 2 || requests[0].Status != 429 || requests[1].Status != 200 {
		t.Errorf("the requests were %+v", requests)
	}
}

func TestAccess(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	ctx := t.Context()
	answer, err := http.Get(server.URL + "/v2/account")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token the answer is %d", answer.StatusCode)
	}

	const secret = "dop_v1_secret"
	server.LackScope(secret, "kubernetes:create")
	limited := client(t, server.URL, secret)
	if _, _, err := limited.Kubernetes.List(ctx, nil); err != nil {
		t.Error(err)
	}
	_, _, err = limited.Kubernetes.Create(ctx, clusterRequest(""))
	wantStatus(t, err, http.StatusForbidden)
	if !strings.Contains(err.Error(), "You are not authorized to perform this operation") {
		t.Errorf("the error is %v", err)
	}
	if _, _, err := client(t, server.URL, "another").Kubernetes.Create(ctx, clusterRequest("")); err != nil {
		t.Error(err)
	}

	log, err := json.Marshal(server.Requests())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(log, []byte(secret)) {
		t.Errorf("the log holds a token: %s", log)
	}
}

func TestAdminOverHTTP(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	post := func(path, body string) {
		t.Helper()
		answer, err := http.Post(server.URL+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d", path, answer.StatusCode)
		}
	}
	post("/_fake/faults", `{"path": "/v2/account", "status": 500}`)
	post("/_fake/scopes", `{"token": "token", "missing": "domain:read"}`)
	api, ctx := client(t, server.URL, "token"), t.Context()
	_, _, err := api.Account.Get(ctx)
	wantStatus(t, err, http.StatusInternalServerError)
	_, _, err = api.Domains.List(ctx, nil)
	wantStatus(t, err, http.StatusForbidden)

	for path, want := range map[string]string{"/_fake/requests": `"/v2/domains"`, "/_fake/account": `"first-project"`} {
		answer, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(answer.Body); err != nil || !strings.Contains(body.String(), want) {
			t.Errorf("%s answers %v %s", path, err, body.String())
		}
	}
}
