package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/template"

	"github.com/digitalocean/godo"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/oauth2"
)

// clients reach the API and Spaces.
type clients struct {
	api                  *godo.Client
	spacesEndpoint       *template.Template
	accessKey, secretKey string
}

// newClients reads the provider's configuration and, where it is silent, the
// environment, in the real plugin's order.
func newClients(config object) (*clients, error) {
	setting := func(attribute, standard string, variables ...string) string {
		if value := config.text(attribute); value != "" {
			return value
		}
		for _, name := range variables {
			if value := os.Getenv(name); value != "" {
				return value
			}
		}
		return standard
	}
	token := setting("token", "", "DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")
	retries, err := strconv.Atoi(setting("", "4", "DIGITALOCEAN_HTTP_RETRY_MAX"))
	if err != nil {
		return nil, fmt.Errorf("DIGITALOCEAN_HTTP_RETRY_MAX: %w", err)
	}
	if config["http_retry_max"] != nil {
		retries = config.number("http_retry_max")
	}
	c := &clients{
		accessKey: setting("spaces_access_id", "", "SPACES_ACCESS_KEY_ID"),
		secretKey: setting("spaces_secret_key", "", "SPACES_SECRET_ACCESS_KEY"),
	}
	http := oauth2.NewClient(context.Background(), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}))
	c.api, err = godo.New(http, godo.WithRetryAndBackoffs(godo.RetryConfig{
		RetryMax: retries, RetryWaitMin: godo.PtrTo(1.0), RetryWaitMax: godo.PtrTo(30.0),
	}))
	if err != nil {
		return nil, fmt.Errorf("make the API's client: %w", err)
	}
	endpoint := setting("api_endpoint", "https://api.digitalocean.com", "DIGITALOCEAN_API_URL")
	if c.api.BaseURL, err = url.Parse(endpoint); err != nil {
		return nil, fmt.Errorf("read the API's URL: %w", err)
	}
	spaces := setting("spaces_endpoint", "https://{{.Region}}.digitaloceanspaces.com", "SPACES_ENDPOINT_URL")
	if c.spacesEndpoint, err = template.New("spaces").Parse(spaces); err != nil {
		return nil, fmt.Errorf("unable to parse spaces_endpoint %q as template: %w", spaces, err)
	}
	return c, nil
}

// spaces returns a client of the Spaces of a region.
func (c *clients) spaces(region string) (*minio.Client, error) {
	if c.accessKey == "" || c.secretKey == "" {
		return nil, errors.New("spaces credentials not configured")
	}
	var text strings.Builder
	if err := c.spacesEndpoint.Execute(&text, map[string]string{"Region": strings.ToLower(region)}); err != nil {
		return nil, fmt.Errorf("make the endpoint of Spaces: %w", err)
	}
	endpoint, err := url.Parse(text.String())
	if err != nil {
		return nil, fmt.Errorf("read the endpoint of Spaces: %w", err)
	}
	return minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(c.accessKey, c.secretKey, ""), Secure: endpoint.Scheme == "https", Region: "us-east-1",
	})
}
