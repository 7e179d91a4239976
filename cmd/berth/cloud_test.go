package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/progress"
	"berth/internal/provider"
)

// cloud is a provider that makes things which cost money.
type cloud struct {
	fakeProvider
	planned *provider.Plan
}

func (c cloud) Plan(context.Context, progress.Reporter) (*provider.Plan, error) {
	return c.planned, c.call("plan")
}

func (c cloud) MakeRecords(context.Context, progress.Reporter) error { return c.call("records") }

func (c cloud) RemoveBucket(context.Context, progress.Reporter) ([]string, error) {
	return []string{"the registry"}, c.call("remove bucket")
}

const cloudy = tiny + `
provider: digitalocean
digitalocean: {bucket: tiny-backups, registry: ghcr.io/me}
`

// inCloud runs a command against a provider of w's in a cloud.
func (w *world) inCloud(t *testing.T, planned *provider.Plan, args ...string) result {
	t.Helper()
	dir := t.TempDir()
	text := strings.Replace(cloudy, "[tiny.localhost]}", "[tiny.localhost], database: postgres}", 1)
	if err := os.WriteFile(filepath.Join(dir, config.File), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	a := &app{streams: console.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, parts: w.parts()}
	a.parts.provider = func(c *config.Config) (provider.Provider, error) { return w.opened(c, cloud{fakeProvider{w}, planned}) }
	status := run(t.Context(), append([]string{"--dir", dir}, args...), a)
	return result{status, out.String(), errs.String()}
}

var twoNodes = &provider.Plan{
	Changes: []provider.Change{
		{Action: "make", What: "the network"},
		{Action: "change", What: "the Kubernetes cluster", Details: []string{"node_pool.node_count: 5 -> 2"}},
	},
	Costs: []provider.Cost{
		{What: "nodes s-2vcpu-4gb", Count: 2, Each: 24, Dollars: 48, From: "API"},
		{What: "load balancer", Count: 1, Each: 15, Dollars: 15, From: "price list of 2025"},
	},
	Notes: []string{"volumes cost extra"},
}

func TestInitPlanSaysWhatItCostsAndChangesNothing(t *testing.T) {
	w := newWorld()
	got := w.inCloud(t, twoNodes, "init", "--plan")
	w.wantCalls(t, "plan")
	if want := `   make the network
   change the Kubernetes cluster
       node_pool.node_count: 5 -> 2

COSTS A MONTH           COUNT  EACH    TOGETHER  FROM
nodes s-2vcpu-4gb       2      $24.00  $48.00    API
load balancer           1      $15.00  $15.00    price list of 2025
together, before taxes                 $63.00

 ! volumes cost extra
`; got.out != want || got.status != succeeded {
		t.Errorf("status %d, stdout is\n%s", got.status, got.out)
	}

	got = w.inCloud(t, twoNodes, "init", "--plan", "--json")
	var read struct {
		Monthly float64 `json:"monthly"`
		Changes []provider.Change
	}
	if err := json.Unmarshal([]byte(got.out), &read); err != nil || read.Monthly != 63 || len(read.Changes) != 2 {
		t.Errorf("%v: %s", err, got.out)
	}
}

func TestAPlanThatWouldBeRefusedFails(t *testing.T) {
	w := newWorld()
	got := w.inCloud(t, &provider.Plan{Refused: "this would replace the Kubernetes cluster"}, "init", "--plan")
	got.wants(t, failed, "berth init would refuse: this would replace the Kubernetes cluster")
}

func TestOnlyCloudsPlan(t *testing.T) {
	newWorld().berth(t, "init", "--plan").wants(t, misused, "the provider local has no plan to show")
}

func TestInitMakesDNSRecordsBeforeWhatMayFail(t *testing.T) {
	w := newWorld()
	w.inCloud(t, nil, "init").wants(t, succeeded, "is ready")
	w.wantCalls(t, "init", "install", "records", "bucket", "publish", "install log agent local/collector:1 with the bucket")
}

func TestInitAsksAPersonBeforeItSpends(t *testing.T) {
	w := newWorld()
	status, seen := w.inTerminal(t, "n", cloud{fakeProvider{w}, twoNodes}, "init")
	if status != failed || !strings.Contains(seen, "Go on, at about $63.00 a month?") || !strings.Contains(seen, "nothing was made") {
		t.Errorf("status %d: %s", status, seen)
	}
	w.wantCalls(t, "plan")
}

func TestDestroyInACloudBacksUpFirstAndKeepsTheBucket(t *testing.T) {
	w := newWorld()
	w.scheduled = time.Now()
	got := w.inCloud(t, nil, "destroy", "--yes")
	got.wants(t, succeeded, "It keeps the Space tiny-backups with the backups")
	if strings.Contains(got.out, "managed PostgreSQL") {
		t.Errorf("there is none: %s", got.out)
	}
	w.wantCalls(t, "safety backup of production", "unschedule backups of staging", "remove staging",
		"unschedule backups of production", "remove production", "remove log agent", "remove platform", "destroy")
}

func TestDestroyStopsWhenTheLastBackupFails(t *testing.T) {
	w := newWorld()
	w.scheduled = time.Now()
	w.fail["safety backup of production"] = errors.New("the bucket is away")
	w.inCloud(t, nil, "destroy", "--yes").wants(t, failed, "berth destroy --no-backup removes without a last backup")
	w.wantCalls(t, "safety backup of production")

	w.calls = nil
	w.inCloud(t, nil, "destroy", "--yes", "--no-backup").wants(t, succeeded, "Kept:")
}

func TestDestroyMayRemoveTheBackups(t *testing.T) {
	w := newWorld()
	got := w.inCloud(t, nil, "destroy", "--yes", "--delete-backups")
	got.wants(t, succeeded, "with ALL BACKUPS")
	w.wantCalls(t, "remove staging", "remove production", "remove log agent", "remove platform", "destroy", "remove bucket")
	got.wants(t, succeeded, "Kept:\n  the registry\n")
	newWorld().berth(t, "destroy", "--yes", "--delete-backups").wants(t, misused, "is for the provider digitalocean")

	w = newWorld()
	w.fail["remove bucket"] = errors.New("Spaces are away")
	w.inCloud(t, nil, "destroy", "--yes", "--delete-backups").wants(t, failed, "Kept:", "Spaces are away")
}

func TestDestroyGoesOnWithAClusterThatIsHalfGone(t *testing.T) {
	w := newWorld()
	w.fail["remove staging"] = errors.New("the API server does not answer")
	w.inCloud(t, nil, "destroy", "--yes", "--no-backup").wants(t, succeeded, "is removed with what it has")
	w.wantCalls(t, "remove staging", "destroy")

	w = newWorld()
	w.cluster = nil
	w.inCloud(t, nil, "destroy", "--yes").wants(t, succeeded, "from cluster tiny")
	w.wantCalls(t, "destroy")
}

func TestDestroyNamesTheDatabaseThatItKeeps(t *testing.T) {
	w := newWorld()
	w.project = strings.Replace(cloudy, "{bucket:", "{database: db-s-1vcpu-1gb, bucket:", 1)
	for _, also := range []string{"--verbose", "--delete-backups"} {
		status, seen := w.inTerminal(t, "local\ntiny-backups", cloud{fakeProvider{w}, nil}, "destroy", also)
		if status != succeeded || !strings.Contains(seen, "It keeps the managed PostgreSQL tiny-postgres with its databases, and its network.") {
			t.Errorf("%s: status %d: %s", also, status, seen)
		}
	}
}

// Who removes the backups too says so by their Space's own name.
func TestDestroyOfTheBackupsAsksForTheSpacesName(t *testing.T) {
	w := newWorld()
	w.project = cloudy
	status, seen := w.inTerminal(t, "local\nlocal", cloud{fakeProvider{w}, nil}, "destroy", "--delete-backups")
	if status != failed || !strings.Contains(seen, "nothing was removed") {
		t.Errorf("status %d: %s", status, seen)
	}
	w.wantCalls(t)
}

// A cluster takes along what others have in it, which is named.
func TestDestroyNamesTheVolumesOfOthers(t *testing.T) {
	w := newWorld()
	w.otherClaims = []string{"wiki/pages"}
	w.inCloud(t, nil, "destroy", "--yes").wants(t, succeeded, "  the volume of wiki/pages with all files in it, which berth.yaml does not name\n")
	w.fail["claims"] = errors.New("the API server is away")
	w.inCloud(t, nil, "destroy", "--yes").wants(t, succeeded, "whatever other volumes are in it, which could not be listed: the API server is away")
}
