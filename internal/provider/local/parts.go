package local

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"time"

	"berth/internal/provider/local/supervisor"
)

// endPart takes one part out of the supervisor's spec and waits for its end.
func (p *Provider) endPart(ctx context.Context, name string) error {
	parts, err := supervisor.Parts(p.layout.supervisor())
	if err != nil {
		return fmt.Errorf("read supervisor spec: %w", err)
	}
	parts = slices.DeleteFunc(parts, func(part supervisor.Part) bool { return part.Name == name })
	if err := p.applyParts(parts); err != nil {
		return err
	}
	return p.awaitEnd(ctx, name)
}

// applyParts makes these the processes of the cluster: the supervisor, which it
// starts unless one runs, keeps them running.
func (p *Provider) applyParts(parts []supervisor.Part) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	return supervisor.Apply(p.layout.supervisor(), parts, thisSystemd.scoped([]string{program, "supervise", string(p.layout.supervisor())}))
}

// awaitEnd waits until the supervisor has ended parts that are out of its spec.
func (p *Provider) awaitEnd(ctx context.Context, names ...string) error {
	return poll(ctx, p.patience(time.Minute, names...), func(context.Context) error {
		if i := slices.IndexFunc(names, func(name string) bool { return supervisor.Running(p.layout.supervisor(), name) }); i >= 0 {
			return fmt.Errorf("%s does not end", names[i])
		}
		return nil
	})
}

// patience with parts of the cluster.
func (p *Provider) patience(limit time.Duration, parts ...string) *patience {
	return patienceFor(func() []int {
		var pids []int
		for _, part := range parts {
			if pid, ok := supervisor.PID(p.layout.supervisor(), part); ok {
				pids = append(pids, pid)
			}
		}
		return pids
	}, limit)
}

// hashFile is a variable for the environment of a part, which reads a file but at its
// start: a change of the file changes it, and so starts the part again.
func hashFile(name string) (string, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read configuration: %w", err)
	}
	return fmt.Sprintf("CONFIGURATION=%x", sha256.Sum256(content)), nil
}

// collectEarly makes Go programs collect garbage at half as much as usual. What
// idles makes little of it, so that a smaller heap costs next to no time.
const collectEarly = "GOGC=50"
