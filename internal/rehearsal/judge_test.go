package rehearsal

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/internal/rollout"
)

var update = flag.Bool("update", false, "write the golden files")

// harmless is what a good release comes to.
func harmless() *Report {
	return &Report{
		Environment: "production", New: "registry/shop:2", Present: "registry/shop:1",
		Backup:    Backup{"20260101_030405_900d", time.Date(2026, 1, 1, 3, 4, 5, 0, time.UTC), 120, 9_000_000},
		Release:   &Release{OK: true, Seconds: 1.2},
		Schema:    Changes{Gained: []string{"column orders.note: text"}},
		Disk:      Disk{Before: 9_000_000, Peak: 10_000_000, After: 10_000_000, Log: 70_000, Volume: 5 << 30},
		NewHealth: Health{Asked: true, OK: true}, PresentHealth: Health{Asked: true, OK: true},
		Answers: []Answer{
			{Path: "/up", Before: Reply{200, 2}, Present: Reply{200, 2}, New: Reply{200, 3}},
			{Path: "/orders", Times: 40, Before: Reply{200, 12}, Present: Reply{200, 13}, New: Reply{200, 14}},
		},
	}
}

var crash = []rollout.Reason{{Object: "pod shop-1", Reason: "CrashLoopBackOff", Log: []string{"no column author"}}}

func TestJudging(t *testing.T) {
	for _, test := range []struct {
		name   string
		found  func(*Report)
		kinds  string
		says   string
		remark string
	}{
		{name: "harmless", found: func(*Report) {}},
		{name: "no release command", found: func(r *Report) { r.Release = nil }},
		{name: "no web process", found: func(r *Report) { r.NewHealth, r.PresentHealth, r.Answers = Health{}, Health{}, nil }},
		{
			name: "the release command fails", kinds: "release command", says: "the release command failed after 3.0 s: release command: Error",
			found: func(r *Report) {
				r.Release = &Release{Seconds: 3, Why: []rollout.Reason{{Object: "release command", Reason: "Error"}}}
				r.NewHealth, r.PresentHealth, r.Answers = Health{}, Health{}, nil
			},
			remark: "what it had changed by then stayed: it is not one transaction",
		},
		{
			name: "a table is dropped", kinds: "lost rows", says: "it drops the table orders with its 12 rows",
			found: func(r *Report) { r.Tables = []Table{{Name: "orders", Before: 12, After: -1}} },
		},
		{name: "an empty one is", found: func(r *Report) { r.Tables = []Table{{Name: "orders", Before: 0, After: -1}} }},
		{name: "one is made", found: func(r *Report) { r.Tables = []Table{{Name: "orders", Before: -1, After: 5}} }},
		{name: "rows are changed", found: func(r *Report) { r.Tables = []Table{{Name: "orders", Before: 5, After: 6, Updated: 5, Inserted: 1}} }},
		{
			name: "rows are lost", kinds: "lost rows", says: "it loses 1 row of the table orders, which had 12 and has 11",
			found: func(r *Report) { r.Tables = []Table{{Name: "orders", Before: 12, After: 11, Deleted: 1}} },
		},
		{
			name:   "a table is rewritten",
			found:  func(r *Report) { r.Tables = []Table{{Name: "orders", Before: 12, After: 12, Rewritten: true}} },
			remark: "it rewrites the table orders, with 12 rows",
		},
		{name: "a partition is dropped", found: func(r *Report) {
			r.Tables = []Table{{Name: "visits_2025", Of: "visits", Before: 12, After: -1}}
		}},
		{
			name: "a row is refused", kinds: "refused write", says: `the table orders does not take a row any more that it took before: null value in column "note"`,
			found: func(r *Report) { r.Writes = []Write{{Table: "orders", Refused: `null value in column "note"`}} },
		},
		{
			name: "a row that is written deletes others", kinds: "refused write", says: "who writes a row to the table orders deletes rows of entries, people now",
			found: func(r *Report) { r.Writes = []Write{{Table: "orders", Deletes: []string{"entries", "people"}}} },
		},
		{
			name:   "rows that others wait for",
			found:  func(r *Report) { r.Locks = []Lock{{"orders", "RowExclusiveLock", 70, 12}} },
			remark: "for 70.0 s nobody can change the rows of the table orders that it changes (RowExclusiveLock)",
		},
		{
			name: "what is gone",
			found: func(r *Report) {
				r.Schema.Lost = []string{"index orders_id", "view totals", "table attach visits_2025"}
			},
			remark: "the present image may ask for what is gone, in requests that were not tried: view totals",
		},
		{
			name: "a long lock", kinds: "held lock", says: "for 7.0 s nobody can read or write the table orders (12 rows, AccessExclusiveLock)",
			found: func(r *Report) { r.Locks = []Lock{{"orders", "AccessExclusiveLock", 7, 12}} },
		},
		{
			name:   "a shorter one",
			found:  func(r *Report) { r.Locks = []Lock{{"orders", "ShareLock", 2, 12}} },
			remark: "for 2.0 s nobody can write to the table orders (ShareLock)",
		},
		{
			name: "more room than there is", kinds: "no room", says: "it needs 7.1 GB for the database and its log, and the volume of production has 5.4 GB",
			found: func(r *Report) { r.Disk = Disk{Before: 3e9, Peak: 5e9, After: 3e9, Log: 9e9, Volume: 5 << 30} },
		},
		{name: "a full volume that it leaves alone", found: func(r *Report) { r.Disk = Disk{Before: 6e9, Peak: 6e9, After: 6e9, Volume: 5 << 30} }},
		{
			name: "the new image crashes", kinds: "unhealthy", says: "the new image does not become healthy: pod shop-1: CrashLoopBackOff",
			found: func(r *Report) { r.NewHealth = Health{Asked: true, Why: crash} },
		},
		{
			name: "the present image crashes", kinds: "no way back", says: "the present image is not healthy on the migrated database: pod shop-1: CrashLoopBackOff: going back would not help",
			found: func(r *Report) { r.PresentHealth = Health{Asked: true, Why: crash} },
		},
		{
			name: "the new image answers 500", kinds: "wrong answer", says: "GET /orders: the new image answers 500, the present one 200",
			found: func(r *Report) { r.Answers[1].New.Status = 500 },
		},
		{
			name: "or not at all", kinds: "wrong answer", says: "GET /orders: the new image answers not at all, the present one 200",
			found: func(r *Report) { r.Answers[1].New = Reply{} },
		},
		{
			name: "a column that the present image reads is gone", kinds: "no way back",
			says:  "GET /orders: the present image answers 500 on the migrated database, and 200 before: going back would not help",
			found: func(r *Report) { r.Answers[1].Present.Status = 500 },
		},
		{name: "a route is gone", found: func(r *Report) { r.Answers[1].New.Status = 404 }, remark: "GET /orders: the new image answers 404, the present one 200"},
		{
			name:   "what never worked here",
			found:  func(r *Report) { r.Answers[1] = Answer{Path: "/map", Before: Reply{502, 9}, New: Reply{502, 9}} },
			remark: "not compared, because the present image does not answer it here before the migration either: GET /map",
		},
		{
			name: "three times slower", kinds: "slow answer", says: "GET /orders: the new image takes 330 ms, the present one 110 ms",
			found: func(r *Report) { r.Answers[1].Before.Milliseconds, r.Answers[1].New.Milliseconds = 110, 330 },
		},
		{name: "noise", found: func(r *Report) { r.Answers[1].New.Milliseconds = 60 }},
		{
			name: "all at once", kinds: "lost rows, no way back, wrong answer", says: "it drops the table orders",
			found: func(r *Report) {
				r.Tables = []Table{{Name: "orders", Before: 12, After: -1}}
				r.Answers[0].New.Status, r.Answers[1].Present.Status = 500, 500
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := harmless()
			test.found(r)
			r.judge()
			var kinds, texts []string
			for _, reason := range r.Reasons {
				kinds, texts = append(kinds, string(reason.Kind)), append(texts, reason.Text)
			}
			slices.Sort(kinds)
			if got := strings.Join(kinds, ", "); got != test.kinds || r.Good != (test.kinds == "") {
				t.Errorf("good is %v, against it is %q, want %q", r.Good, got, test.kinds)
			}
			if got := strings.Join(texts, "\n"); !strings.Contains(got, test.says) {
				t.Errorf("it says %q, want %q", got, test.says)
			}
			if test.remark != "" && !slices.Contains(r.Remarks, test.remark) || test.remark == "" && len(r.Remarks) > 0 {
				t.Errorf("remarks are %q, want %q", r.Remarks, test.remark)
			}
		})
	}
}

func TestAReportForPeople(t *testing.T) {
	r := harmless()
	r.Seconds = 31.4
	r.Phases = []Phase{{"Start a database of its own", 9.1}, {"Run the release command on it", 1.2}}
	r.Tables = []Table{
		{Name: "orders", Before: 12, After: 11, Inserted: 2, Updated: 4, Deleted: 3, Rewritten: true},
		{Name: "people", Was: "users", Before: 3, After: 3}, {Name: "old", Before: 7, After: -1}, {Name: "fresh", Before: -1, After: 5, Inserted: 5},
	}
	r.Locks = []Lock{{"orders", "AccessExclusiveLock", 7, 12}}
	r.Writes = []Write{{Table: "orders", Refused: "no partition found for row"}, {Table: "people", Deletes: []string{"orders"}}}
	r.Schema.Lost = []string{"table old"}
	r.NewHealth = Health{Asked: true, Why: crash}
	r.judge()
	golden(t, "report.txt", strings.Join(r.Lines(time.Date(2026, 1, 1, 9, 4, 5, 0, time.UTC)), "\n")+"\n")
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}
