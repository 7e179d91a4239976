package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/digitalocean/godo"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// resource is one kind of resource. Its functions take and return whole
// resources; a nil one is a resource that is not there.
type resource struct {
	// forceNew lists the attributes whose change replaces the resource.
	forceNew []string
	// replaces finds further changes that do.
	replaces func(prior, planned object) []*tftypes.AttributePath
	// suppress undoes differences that are none.
	suppress func(prior, planned object)
	defaults map[string]any
	// computedBlocks are blocks that the API fills in where the configuration
	// has none.
	computedBlocks []string

	// create may return a resource with an error: it is in the state then, and
	// marked to be replaced.
	create func(ctx context.Context, c *clients, planned object) (object, error)
	read   func(ctx context.Context, c *clients, state object) (object, error)
	update func(ctx context.Context, c *clients, prior, planned object) (object, error)
	remove func(ctx context.Context, c *clients, state object) error
	// imported returns what read needs to begin with; nil cannot be imported.
	imported func(ctx context.Context, c *clients, id string) (object, error)

	// The rest is set by the server.
	schema *schema
	typ    tftypes.Type
}

// gone reports whether the API answered that there is no such thing.
func gone(err error) bool { return hasStatus(err, http.StatusNotFound) }

func hasStatus(err error, status int) bool {
	var response *godo.ErrorResponse
	return errors.As(err, &response) && response.Response.StatusCode == status
}

// byID is the usual import: the identifier is all that there is to know.
func byID(_ context.Context, _ *clients, id string) (object, error) { return object{"id": id}, nil }

// poll is how often the fake looks whether something is done. The real plugin
// looks every ten seconds.
const poll = 100 * time.Millisecond

// wait looks until done, or for at most as long as the resource's timeouts say.
func wait(ctx context.Context, o object, timeout string, standard time.Duration, done func() (bool, error)) error {
	if times, ok := o["timeouts"].(object); ok && times.text(timeout) != "" {
		given, err := time.ParseDuration(times.text(timeout))
		if err != nil {
			return fmt.Errorf("read the timeout: %w", err)
		}
		standard = given
	}
	ctx, cancel := context.WithTimeout(ctx, standard)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
}

// stamp is how the real plugin writes times.
func stamp(t time.Time) string { return t.UTC().String() }
