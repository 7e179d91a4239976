package alert

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Trial is how a test message fared with one destination.
type Trial struct {
	Name string `json:"name"`
	// Problem is why it did not arrive; empty when the service has taken it.
	Problem string `json:"problem,omitempty"`
}

// Test sends every destination a message that says that it is a test.
func Test(ctx context.Context, destinations []Destination, cluster string) []Trial {
	trials := make([]Trial, len(destinations))
	m := Message{
		Title: Plain(fmt.Sprintf("✓ %s: a test message of berth", cluster)),
		Text:  "What breaks in the cluster will be told here. Sent at " + time.Now().UTC().Format("15:04:05 UTC") + ".",
	}
	var all sync.WaitGroup
	for i, d := range destinations {
		trials[i].Name = d.Name
		all.Go(func() {
			if err := d.Send(ctx, m); err != nil {
				trials[i].Problem = err.Error()
			}
		})
	}
	all.Wait()
	return trials
}
