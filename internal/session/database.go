package session

import (
	"context"
	"fmt"

	apps "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/fault"
)

// InDatabase runs a shell's script in the pod of the environment's PostgreSQL, as the
// database's owner: its programs find POSTGRES_USER, POSTGRES_DB and PGPASSWORD.
func (c *Client) InDatabase(ctx context.Context, script string, s Streams) error {
	database, err := c.database(ctx)
	if err != nil {
		return err
	}
	return c.inDatabase(ctx, database, script, s)
}

func (c *Client) inDatabase(ctx context.Context, database *apps.StatefulSet, script string, s Streams) error {
	selector, err := metav1.LabelSelectorAsSelector(database.Spec.Selector)
	if err != nil {
		return fmt.Errorf("find the database's pod: %w", err)
	}
	pods, err := c.pods(ctx, selector.String())
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return fault.WithHint(fmt.Errorf("the database of %s is not running", c.environment), "berth status says why")
	}
	// The server's own files let its owner in; over TCP it is the password.
	const owner = `PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); export PGPASSWORD; `
	return c.execute(ctx, pods[0].Name, pods[0].Spec.Containers[0].Name, []string{"/bin/sh", "-c", owner + script}, s)
}
