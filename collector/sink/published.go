package sink

import (
	"context"
	"errors"
	"maps"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/awss3exporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/exporter"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

// NewBucketFactory is the published awss3 exporter as a sink.
func NewBucketFactory() exporter.Factory {
	published := awss3exporter.NewFactory()
	create := func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
		c := *cfg.(*awss3exporter.Config)
		queue, retry := c.QueueSettings, c.BackOffConfig
		c.QueueSettings, c.BackOffConfig = Queue{}, Retry{}
		to, err := published.CreateLogs(ctx, inner(set), &c)
		if err != nil {
			return nil, err
		}
		return New(ctx, set, cfg, queue, retry, to)
	}
	return exporter.NewFactory(published.Type(), published.CreateDefaultConfig, exporter.WithLogs(create, published.LogsStability()))
}

// inner are the settings of the exporter inside: it neither counts lines nor logs
// errors, as the sink around it does.
func inner(set exporter.Settings) exporter.Settings {
	set.Logger = zap.NewNop()
	set.MeterProvider = noopmetric.NewMeterProvider()
	set.TracerProvider = nooptrace.NewTracerProvider()
	return set
}

var answersID = component.MustNewID("sink_answers")

// WithAnswers has an HTTP client return each [Answer] but success as an error.
// It takes effect in exporters that are given to [New].
func WithAnswers(client *confighttp.ClientConfig) {
	client.Middlewares = append(client.Middlewares, configmiddleware.Config{ID: answersID})
}

// withAnswers is a host on which exporters find the middleware, without its
// being in the configuration, where it could be forgotten.
type withAnswers struct{ component.Host }

func (h withAnswers) GetExtensions() map[component.ID]component.Component {
	extensions := maps.Clone(h.Host.GetExtensions())
	if extensions == nil {
		extensions = map[component.ID]component.Component{}
	}
	extensions[answersID] = answersExtension{}
	return extensions
}

// answersExtension is never started: it only has to be an extension.
type answersExtension struct{ answers }

var errNotRun = errors.New("the middleware is not an extension to be run")

func (answersExtension) Start(context.Context, component.Host) error { return errNotRun }
func (answersExtension) Shutdown(context.Context) error              { return errNotRun }
