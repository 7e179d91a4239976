package fake

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/digitalocean/godo"
)

// Account is everything in the account.
type Account struct {
	Clusters      []*Cluster        `json:"clusters"`
	VPCs          []*godo.VPC       `json:"vpcs"`
	LoadBalancers []*LoadBalancer   `json:"load_balancers"`
	Volumes       []*Volume         `json:"volumes"`
	Snapshots     []*Snapshot       `json:"snapshots"`
	SpacesKeys    []*godo.SpacesKey `json:"spaces_keys"`
	Buckets       []*Bucket         `json:"buckets"`
	Projects      []*Project        `json:"projects"`
	Domains       []*Domain         `json:"domains"`
	Registries    []*Registry       `json:"registries"`
	Databases     []*Database       `json:"databases"`
	Tags          []string          `json:"tags"`
	Actions       []*godo.Action    `json:"actions"`
	// NextNumber is for what has numbers for identifiers: records, actions,
	// Droplets.
	NextNumber int `json:"next_number"`
}

// openAccount reads the account from a file, or makes a new one.
func openAccount(file string, now time.Time) (*Account, error) {
	if file != "" {
		data, err := os.ReadFile(file)
		if err == nil {
			var a Account
			if err := json.Unmarshal(data, &a); err != nil {
				return nil, fmt.Errorf("read the account in %s: %w", file, err)
			}
			return &a, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the account: %w", err)
		}
	}
	stamp := now.UTC().Format(time.RFC3339)
	return &Account{
		NextNumber: 1000,
		Projects: []*Project{{Project: godo.Project{
			ID: newID(), Name: "first-project", Purpose: "Just trying out DigitalOcean", Environment: "Development",
			IsDefault: true, OwnerUUID: ownerUUID, OwnerID: 1, CreatedAt: stamp, UpdatedAt: stamp,
		}}},
	}, nil
}

// save keeps the account in its file, which is never there in part.
func (a *Account) save(file string) error {
	if file == "" {
		return nil
	}
	data, err := json.MarshalIndent(a, "", " ")
	if err != nil {
		return fmt.Errorf("encode the account: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), ".account-*") // It is made with mode 0600.
	if err != nil {
		return fmt.Errorf("keep the account: %w", err)
	}
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return fmt.Errorf("keep the account: %w", err)
	}
	if err := os.Rename(temporary.Name(), file); err != nil {
		return fmt.Errorf("keep the account: %w", err)
	}
	return nil
}

// advance brings the account to the present: what was asked for a while ago is
// there, and what was deleted is gone.
func (a *Account) advance(now time.Time, delay time.Duration) {
	over := func(since time.Time) bool { return !now.Before(since.Add(delay)) }
	for _, c := range a.Clusters {
		c.advance(now, delay)
	}
	a.Clusters = slices.DeleteFunc(a.Clusters, func(c *Cluster) bool { return c.Deleted != nil && over(*c.Deleted) })
	for _, b := range a.LoadBalancers {
		if b.Status == "new" && over(b.Made) {
			b.Status = "active"
			b.IP = documentationAddress(b.ID)
		}
	}
	for _, d := range a.Databases {
		if d.Status != "online" && over(d.Changed) {
			d.Status = "online"
		}
	}
}

// documentationAddress makes up an address that belongs to nobody (RFC 5737).
func documentationAddress(id string) string {
	sum := 0
	for _, b := range []byte(id) {
		sum = sum*31 + int(b)
	}
	return fmt.Sprintf("203.0.113.%d", 1+sum&0x7fffffff%250)
}

// number returns a fresh number.
func (a *Account) number() int {
	a.NextNumber++
	return a.NextNumber
}

// tagged notes tags, as DigitalOcean makes them on their first use.
func (a *Account) tagged(tags []string) {
	for _, tag := range tags {
		if !slices.Contains(a.Tags, tag) {
			a.Tags = append(a.Tags, tag)
		}
	}
}

// action notes that something was done.
func (a *Account) action(kind, resource string, now time.Time) {
	stamp := &godo.Timestamp{Time: now.UTC()}
	a.Actions = append(a.Actions, &godo.Action{
		ID: a.number(), Status: godo.ActionCompleted, Type: kind, ResourceType: resource, StartedAt: stamp, CompletedAt: stamp,
	})
}

// newID returns a random UUID (RFC 9562, version 4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // It never fails.
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newSecret returns n random bytes as hexadecimal digits.
func newSecret(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // It never fails.
	return hex.EncodeToString(b)
}
