package digitalocean

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider/digitalocean/scope"
)

// tryScopes finds out which scopes the token is missing, by requests that do nothing.
// It also returns those that it may lack, as the API refused something that is
// not there.
func (p *Provider) tryScopes(ctx context.Context) (missing, doubtful []string, err error) {
	trials := scope.Trials(purposes(p.config)...)
	refused := make([]bool, len(trials))
	group, ctx := errgroup.WithContext(context.WithValue(ctx, once{}, true))
	group.SetLimit(8)
	for i, trial := range trials {
		group.Go(func() (err error) {
			refused[i], err = p.refuses(ctx, trial)
			return wrap("try whether the token has the scope "+strings.Join(trial.Scopes, ", "), err)
		})
	}
	err = group.Wait()
	// Those of one scope come first, and explain others that are refused.
	has := map[string]bool{}
	for i, trial := range trials {
		for _, scope := range trial.Scopes {
			has[scope] = has[scope] || !refused[i]
		}
	}
	for i, trial := range trials {
		explained := slices.ContainsFunc(trial.Scopes, func(scope string) bool {
			return slices.Contains(missing, scope) || slices.Contains(doubtful, scope)
		})
		if !refused[i] || explained {
			continue
		}
		without := slices.DeleteFunc(slices.Clone(trial.Scopes), func(scope string) bool { return has[scope] })
		if trial.Sure {
			missing = append(missing, without...)
		} else {
			doubtful = append(doubtful, without...)
		}
	}
	slices.Sort(missing)
	slices.Sort(doubtful)
	return missing, doubtful, err
}

// purposes are what berth.yaml needs a token for.
func purposes(c *config.Config) []string {
	d, needed := c.DigitalOcean, []string{scope.Cluster}
	for _, one := range []struct{ wanted, purpose string }{
		{d.Domain, scope.Domain}, {d.ContainerRegistry, scope.Registry}, {d.Database, scope.Database},
	} {
		if one.wanted != "" {
			needed = append(needed, one.purpose)
		}
	}
	return needed
}

// refuses reports whether the API refuses a trial because a scope is missing.
func (p *Provider) refuses(ctx context.Context, trial scope.Trial) (bool, error) {
	body := io.Reader(http.NoBody)
	if trial.Method != http.MethodGet && trial.Method != http.MethodDelete {
		body = strings.NewReader(scope.Body)
	}
	request, err := http.NewRequestWithContext(ctx, trial.Method, p.api.BaseURL.JoinPath(trial.Path).String(), body)
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", p.api.UserAgent)
	response, err := p.api.HTTPClient.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized {
		return false, explainStatus(fmt.Errorf("%s %s: %s", trial.Method, trial.Path, response.Status), response.StatusCode, trial.Method, request.URL)
	}
	return response.StatusCode == http.StatusForbidden, nil
}

// checkScopes fails when scopes of the token are missing, before anything is made that
// costs money.
func (p *Provider) checkScopes(ctx context.Context, r progress.Reporter) error {
	return progress.Run(r, "Try what the token may do", func(progress.Step) error {
		missing, doubtful, err := p.tryScopes(ctx)
		if err == nil && len(doubtful) > 0 {
			r.Note("the token may be missing " + strings.Join(doubtful, ", ") + ", which cannot be tested reliably")
		}
		return missingError(missing, err)
	})
}

// missingError says which scopes a token is missing, if any.
func missingError(missing []string, err error) error {
	if err != nil || len(missing) == 0 {
		return err
	}
	what := "the scope "
	if len(missing) > 1 {
		what = "the scopes "
	}
	return fault.WithHint(fmt.Errorf("the token is missing %s%s: nothing was made", what, strings.Join(missing, ", ")),
		"add to the token at https://cloud.digitalocean.com/account/api/tokens what docs/digitalocean.md lists")
}
