package digitalocean

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tfjson "github.com/hashicorp/terraform-json"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/provider"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// reading is what berth makes of one plan of Terraform's.
type reading struct {
	Changes  []provider.Change `json:"changes"`
	Refused  string            `json:"refused,omitempty"`
	Warnings []string          `json:"warnings,omitempty"`
}

// Plans as Terraform writes them (testdata/NAME.plan.json), and what berth reads
// in them (testdata/NAME.golden.json).
func TestPlansAreRead(t *testing.T) {
	plans, err := filepath.Glob("testdata/*.plan.json")
	if err != nil || len(plans) == 0 {
		t.Fatalf("there are no plans: %v", err)
	}
	for _, path := range plans {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".plan.json"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			plan := &tfjson.Plan{}
			if err := json.Unmarshal(text, plan); err != nil {
				t.Fatal(err)
			}
			read := reading{Changes: changes(plan), Warnings: warnings(plan)}
			if err := refuse(plan); err != nil {
				read.Refused = err.Error()
				if fault.Hint(err) == "" {
					t.Error("a refusal comes without a hint")
				}
			}
			got, err := json.MarshalIndent(read, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			golden := strings.TrimSuffix(path, ".plan.json") + ".golden.json"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("it reads otherwise (-want +got); -update, when that is meant:\n%s", diff)
			}
			if strings.Contains(string(got), "hunter2") {
				t.Error("what is marked as sensitive is shown")
			}
		})
	}
}

// Whatever a plan holds, reading it does not fail, and a change that is told
// does something.
func FuzzReadingAPlan(f *testing.F) {
	plans, err := filepath.Glob("testdata/*.plan.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range plans {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		plan := &tfjson.Plan{}
		if json.Unmarshal(text, plan) != nil {
			return // no plan
		}
		for _, one := range changes(plan) {
			if one.Action == "" {
				t.Errorf("a change does nothing: %+v", one)
			}
		}
		refuse(plan)
		warnings(plan)
	})
}

// What metrics are kept on is a volume, which costs; without them there is none.
func TestMetricsAreOnTheBill(t *testing.T) {
	w := start(t)
	w.config.Metrics = config.Metrics(15 * 24 * time.Hour)
	plan, err := w.Plan(t.Context(), w.said)
	if err != nil {
		t.Fatalf("plan: %v\n%s", err, w.said)
	}
	i := slices.IndexFunc(plan.Costs, func(c provider.Cost) bool { return strings.HasPrefix(c.What, "volume of metrics") })
	if i < 0 || plan.Costs[i].Dollars != 0.2 {
		t.Errorf("the costs are %+v", plan.Costs)
	}
}
