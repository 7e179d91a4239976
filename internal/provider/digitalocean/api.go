package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"
	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/oauth2"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/provider"
	"berth/internal/provider/digitalocean/scope"
)

const (
	// attempts is how often a request is sent before its failure counts.
	attempts = 6
	// patience bounds the wait that the API may ask for before a request is
	// sent again. Its limit of requests is by the hour.
	patience = 10 * time.Minute
	// requestTime bounds one request.
	requestTime = time.Minute
)

// newAPI returns a client of DigitalOcean's API that sends again what failed by
// 429 or 5xx.
func newAPI(c *config.Config) (*godo.Client, error) {
	token := c.DotEnv[config.DigitalOceanToken]
	if token == "" {
		return nil, fault.WithHint(fault.Usage("%w: there is no token for DigitalOcean", provider.ErrNoCredentials),
			"make one at https://cloud.digitalocean.com/account/api/tokens and set %s in .env", config.DigitalOceanToken)
	}
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.RetryMax = attempts - 1
	client.RetryWaitMin, client.RetryWaitMax = time.Second, 30*time.Second
	client.Backoff = backoff
	client.CheckRetry = shouldRetry
	// The last response says more than that the attempts are used up.
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	client.HTTPClient.Timeout = requestTime
	// Not by oauth2.NewClient: that would take a client from its context.
	authorized := &http.Client{Transport: &oauth2.Transport{
		Base:   client.StandardClient().Transport,
		Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}),
	}}
	options := []godo.ClientOpt{godo.SetUserAgent("berth")}
	if address := c.DotEnv[config.DigitalOceanAPIURL]; address != "" {
		options = append(options, godo.SetBaseURL(strings.TrimSuffix(address, "/")+"/"))
	}
	return godo.New(authorized, options...)
}

// backoff waits as long as the API asks for: by Retry-After, or by the time at
// which its limit of requests is reset (a UNIX time),
// https://docs.digitalocean.com/reference/api/reference/rate-limiting.
func backoff(least, most time.Duration, attempt int, response *http.Response) time.Duration {
	wait := retryablehttp.DefaultBackoff(least, most, attempt, response)
	if response == nil || response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "" {
		return wait
	}
	reset, err := strconv.ParseInt(response.Header.Get("Ratelimit-Reset"), 10, 64)
	if err != nil {
		return wait
	}
	return max(wait, time.Until(time.Unix(reset, 0)))
}

// once is the key by which a request's context says that it is sent once.
type once struct{}

func shouldRetry(ctx context.Context, response *http.Response, err error) (bool, error) {
	if ctx.Value(once{}) != nil && response != nil && response.StatusCode >= http.StatusInternalServerError {
		return false, nil
	}
	if response != nil && response.StatusCode == http.StatusTooManyRequests && backoff(0, 0, 0, response) > patience {
		return false, nil
	}
	return retryablehttp.DefaultRetryPolicy(ctx, response, err)
}

// explain adds to an error of the API how to fix it.
func explain(err error) error {
	var failed *godo.ErrorResponse
	if !errors.As(err, &failed) || failed.Response == nil || failed.Response.Request == nil {
		return err
	}
	request := failed.Response.Request
	return explainStatus(err, failed.Response.StatusCode, request.Method, request.URL)
}

// refusals are what DigitalOcean says about a request that is right in its form, and
// what can be done about it. Its document names the status alone (422 mostly), so these
// are words that its customers report.
var refusals = []struct {
	words *regexp.Regexp
	hint  string
}{
	{regexp.MustCompile(`(?i)droplet limit`),
		"each node counts as a Droplet: lower digitalocean.nodes and maxNodes in berth.yaml, remove Droplets that you do not need, or ask for more at https://cloud.digitalocean.com/account/team/droplet_limit_increase"},
	{regexp.MustCompile(`(?i)(load ?balancer|volume|database|registry|registries|vpc|cluster)s? limit`),
		"the account has as many as it may have: remove one that you do not need, or ask for more at https://cloudsupport.digitalocean.com"},
	{regexp.MustCompile(`(?i)\bsize\b.*(restricted|unavailable|not (currently )?available)|invalid (droplet )?size`),
		"the region has no such nodes at the moment, or your account may not have them: set another digitalocean.size or digitalocean.region in berth.yaml"},
	{regexp.MustCompile(`(?i)\bregion\b.*(unavailable|not (currently )?available)`),
		"set another digitalocean.region in berth.yaml, or try again later"},
	{regexp.MustCompile(`(?i)invalid version`),
		"DigitalOcean does not offer it any more: berth doctor lists the versions for digitalocean.version"},
}

func explainStatus(err error, status int, method string, address *url.URL) error {
	for _, known := range refusals {
		if status < http.StatusInternalServerError && known.words.MatchString(err.Error()) {
			return fault.WithHint(err, "%s", known.hint)
		}
	}
	switch status {
	case http.StatusUnauthorized:
		return fault.WithHint(fmt.Errorf("DigitalOcean does not accept the token: %w", err),
			"make a new one at https://cloud.digitalocean.com/account/api/tokens and set %s in .env", config.DigitalOceanToken)
	case http.StatusForbidden:
		if scopes := scope.Of(method, address.Path); len(scopes) > 0 {
			return scopesMissing(strings.Join(scopes, " "), err)
		}
	case http.StatusTooManyRequests:
		return fault.WithHint(err, "the account's limit of requests is used up for this hour; run the command again later")
	case http.StatusPaymentRequired:
		return fault.WithHint(err, "see https://cloud.digitalocean.com/account/billing")
	}
	return err
}

// scopesMissing says of an error that a token needs these scopes, separated by
// spaces.
func scopesMissing(scopes string, err error) error {
	what := "the scope "
	if strings.Contains(scopes, " ") {
		what = "some of the scopes "
	}
	return fault.WithHint(fmt.Errorf("the token is missing %s%s: %w", what, strings.ReplaceAll(scopes, " ", ", "), err),
		"add it to the token at https://cloud.digitalocean.com/account/api/tokens; docs/digitalocean.md lists all that berth needs. If it has them, look at https://cloud.digitalocean.com/account/billing: an unpaid or locked account is refused like this too")
}

// apiError finds in Terraform's words the request that failed, as godo writes
// it down.
var apiError = regexp.MustCompile(`\b(GET|POST|PUT|PATCH|DELETE) (https?://\S+): ([0-9]{3})\b`)

// explainText does for a text what explain does for an error.
func explainText(err error, text string) error {
	match := apiError.FindStringSubmatch(text)
	if match == nil {
		return err
	}
	address, parseErr := url.Parse(match[2])
	status, numberErr := strconv.Atoi(match[3])
	if parseErr != nil || numberErr != nil {
		return err
	}
	return explainStatus(err, status, match[1], address)
}

// isNotFound reports whether the API has no such thing.
func isNotFound(err error) bool { return hasStatus(err, http.StatusNotFound) }

func hasStatus(err error, status int) bool {
	var failed *godo.ErrorResponse
	return errors.As(err, &failed) && failed.Response != nil && failed.Response.StatusCode == status
}

// all reads every page of a list.
func all[T any](list func(*godo.ListOptions) ([]T, *godo.Response, error)) ([]T, error) {
	var found []T
	options := &godo.ListOptions{Page: 1, PerPage: 200}
	for {
		page, response, err := list(options)
		if err != nil {
			return nil, explain(err)
		}
		found = append(found, page...)
		if response == nil || response.Links == nil || response.Links.IsLastPage() {
			return found, nil
		}
		options.Page++
	}
}

func wrap(what string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// poll looks again and again until done, an error or the end of a time.
func (p *Provider) poll(ctx context.Context, limit time.Duration, look func(context.Context) (done bool, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not within %s", limit))
	defer cancel()
	for {
		done, err := look(ctx)
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(p.pause):
		}
	}
}
