package digitalocean

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"berth/internal/config"
	"berth/internal/fakedo/fake"
	"berth/internal/provider"
)

func grant(bucket string) *godo.Grant {
	return &godo.Grant{Bucket: bucket, Permission: godo.SpacesKeyReadWrite}
}

func TestWithoutATokenNothingBegins(t *testing.T) {
	_, err := New(&config.Config{DotEnv: map[string]string{}})
	wantError(t, err, "no token for DigitalOcean", "DIGITALOCEAN_TOKEN")
}

func TestWhatIsRefusedIsSentAgainWhenTheAPISays(t *testing.T) {
	w := start(t)
	w.makeCluster(t, mark)
	w.do.Inject(
		fake.Fault{Path: "/v2/kubernetes/clusters", Status: http.StatusTooManyRequests, RetryAfter: time.Second},
		fake.Fault{Path: "/v2/kubernetes/clusters", Status: http.StatusBadGateway},
		fake.Fault{Path: "/v2/kubernetes/clusters", Status: http.StatusTooManyRequests}, // of the hour, whose reset is near
	)
	began := time.Now()
	if _, err := w.Cluster(t.Context()); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(began); waited < time.Second {
		t.Errorf("it waited %s, not as long as Retry-After says", waited)
	}
}

func TestAWaitThatIsTooLongIsAnError(t *testing.T) {
	w := start(t)
	w.do.Inject(fake.Fault{Path: "/v2/kubernetes/clusters", Status: http.StatusTooManyRequests, RetryAfter: time.Hour, Times: -1})
	_, err := w.Cluster(t.Context())
	wantError(t, err, "429", "limit of requests")
}

func TestBackoffFollowsTheAPIsHeaders(t *testing.T) {
	answer := func(status int, headers ...string) *http.Response {
		response := &http.Response{StatusCode: status, Header: http.Header{}}
		for i := 0; i < len(headers); i += 2 {
			response.Header.Set(headers[i], headers[i+1])
		}
		return response
	}
	reset := time.Now().Add(90 * time.Second)
	for _, c := range []struct {
		what        string
		response    *http.Response
		least, most time.Duration
	}{
		{"nothing said", answer(500), time.Second, time.Second},
		{"Retry-After", answer(429, "Retry-After", "7"), 7 * time.Second, 7 * time.Second},
		{"the limit's reset", answer(429, "Ratelimit-Reset", strconv.FormatInt(reset.Unix(), 10)), 80 * time.Second, 91 * time.Second},
		{"no answer", nil, time.Second, time.Second},
	} {
		if got := backoff(time.Second, 30*time.Second, 0, c.response); got < c.least || got > c.most {
			t.Errorf("%s: waits %s", c.what, got)
		}
	}
}

func TestAScopeThatLacksIsNamed(t *testing.T) {
	w := start(t)
	w.do.LackScope(secretToken, "kubernetes:read")
	_, err := w.Cluster(t.Context())
	wantError(t, err, "the token is missing the scope kubernetes:read", "add it to the token")
}

func TestATokenThatIsNoneIsNamed(t *testing.T) {
	w := start(t)
	w.do.Inject(fake.Fault{Path: "/v2/kubernetes/clusters", Status: http.StatusUnauthorized})
	_, err := w.Cluster(t.Context())
	wantError(t, err, "does not accept the token", "DIGITALOCEAN_TOKEN")
}

func TestTerraformsWordsAreExplained(t *testing.T) {
	text := `Error creating Kubernetes cluster: POST https://api.digitalocean.com/v2/kubernetes/clusters: 403 (request "1") You are not authorized`
	wantError(t, explainText(errors.New(text), text), "is missing the scope kubernetes:create", "add it to the token")
	if other := errors.New("something else"); explainText(other, other.Error()) != other {
		t.Error("what is no request was explained")
	}
}

// The words are those that customers of DigitalOcean report.
func TestRefusalsSayWhatToDo(t *testing.T) {
	for _, c := range []struct{ said, hint string }{
		{"422 (request \"1\") validation error: autoscale desired max nodes exceed limits, 24 additional nodes but not enough available droplet limit", "digitalocean.nodes"},
		{"422 creating this/these droplet(s) will exceed your droplet limit.", "droplet_limit_increase"},
		{"422 (request \"1\") Size is not available in this region.", "digitalocean.size"},
		{"422 size is unavailable", "digitalocean.size"},
		{"422 validation error: invalid droplet size", "digitalocean.size"},
		{"422 This size is currently restricted, please open a ticket", "digitalocean.size"},
		{"422 Region is not available", "digitalocean.region"},
		{"422 validation error: invalid version slug", "berth doctor"},
		{"422 load balancer limit reached", "ask for more"},
		{"403 (request \"1\") You have reached the volume limit for your account", "cloudsupport"},
		{"402 Payment Required", "billing"},
		{"403 (request \"1\") You are not allowed to perform this operation", "unpaid or locked"},
	} {
		text := "Error creating Kubernetes cluster: POST https://api.digitalocean.com/v2/kubernetes/clusters: " + c.said
		wantError(t, explainText(errors.New(text), text), c.said, c.hint)
	}
	text := "GET https://api.digitalocean.com/v2/kubernetes/clusters: 502 the region is not available"
	if failed := errors.New(text); explainText(failed, text) != failed {
		t.Error("a failure of DigitalOcean's own was explained by berth.yaml")
	}
}

func TestEveryPageIsRead(t *testing.T) {
	w := start(t)
	for range 230 {
		w.do.NewSpacesKey("another")
	}
	found, err := w.survey(t.Context(), newVariables(w.config))
	if err != nil {
		t.Fatal(err)
	}
	if len(found.keys) != 0 {
		t.Errorf("found %d keys that are somebody else's", len(found.keys))
	}
	w.do.NewSpacesKey("shop-cluster", grant(w.config.DigitalOcean.Bucket))
	if found, err = w.survey(t.Context(), newVariables(w.config)); err != nil || len(found.keys) != 1 {
		t.Errorf("found %d keys on the second page, %v", len(found.keys), err)
	}
}

func TestThereIsNoClusterUntilOneIsMade(t *testing.T) {
	w := start(t)
	_, err := w.Cluster(t.Context())
	if !errors.Is(err, provider.ErrNotUp) {
		t.Errorf("got %v, want ErrNotUp", err)
	}
	wantError(t, err, "no cluster shop", "berth init")
}
