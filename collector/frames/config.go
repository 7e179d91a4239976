package frames

import (
	"errors"
	"net/url"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"berth/collector/sink"
)

// maxRequestBytes is what Timber's API and its successors take in a request.
const maxRequestBytes = 1 << 20

// Config says where frames go.
type Config struct {
	// Client has the endpoint: the URL before /sources.
	Client confighttp.ClientConfig `mapstructure:",squash"`
	Queue  sink.Queue              `mapstructure:"sending_queue"`
	Retry  sink.Retry              `mapstructure:"retry_on_failure"`
	// SourceID names the source at the aggregator.
	SourceID string `mapstructure:"source_id"`
	// APIKey is sent as a bearer token.
	APIKey configopaque.String `mapstructure:"api_key"`
	// MaxRequestBytes bounds the body of one request.
	MaxRequestBytes int `mapstructure:"max_request_bytes"`
}

func defaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = 30 * time.Second
	return &Config{
		Client:          client,
		Queue:           configoptional.Some(exporterhelper.NewDefaultQueueConfig()),
		Retry:           configretry.NewDefaultBackOffConfig(),
		MaxRequestBytes: maxRequestBytes,
	}
}

// Validate is called by the collector before anything is started.
func (c *Config) Validate() error {
	endpoint, err := url.Parse(c.Client.Endpoint)
	switch {
	case err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "":
		return errors.New("endpoint is not an http or https URL")
	case c.SourceID == "":
		return errors.New("source_id is empty")
	case c.APIKey == "":
		return errors.New("api_key is empty")
	case c.MaxRequestBytes < 4<<10 || c.MaxRequestBytes > maxRequestBytes:
		return errors.New("max_request_bytes is not between 4 KiB and 1 MiB")
	}
	return nil
}
