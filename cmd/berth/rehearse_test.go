package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"berth/internal/backup"
	"berth/internal/rehearsal"
	"berth/internal/release"
)

// bad is a release that loses rows.
var bad = rehearsal.Report{Reasons: []rehearsal.Reason{{Kind: rehearsal.LostRows, Text: "it loses 3 rows of the table orders, which had 7 and has 4"}}}

// newRehearsed is the shop with something deployed.
func newRehearsed(t *testing.T, report rehearsal.Report) *world {
	w := newShop(t)
	w.history = []release.Revision{{Number: 1, When: time.Now()}}
	w.rehearsal = report
	return w
}

func TestARehearsalSaysWhetherAReleaseMayGoThere(t *testing.T) {
	w := newRehearsed(t, rehearsal.Report{Good: true})
	w.berth(t, "rehearse", "production", "--image", "local/shop:2").wants(t, 0, "Nothing speaks against releasing local/shop:2 to production.")
	w.wantCalls(t, "rehearse production local/shop:2", "bucket", "bucket")

	w = newRehearsed(t, bad)
	w.berth(t, "rehearse", "production").wants(t, 1, "local/shop:1 must not go to production:\n  - it loses 3 rows of the table orders")

	var found rehearsal.Report
	got := newRehearsed(t, bad).berth(t, "rehearse", "production", "--json")
	if err := json.Unmarshal([]byte(got.out), &found); err != nil || got.status != 1 || found.Good || found.Reasons[0].Kind != rehearsal.LostRows || found.Backup.ID != "20260101_030405_900d" {
		t.Errorf("status %d, %v: %s", got.status, err, got.out)
	}
}

func TestWhatCannotBeRehearsed(t *testing.T) {
	w := newRehearsed(t, bad)
	w.berth(t, "rehearse", "staging").wants(t, 2, "staging has no backups to make a copy from")
	w.berth(t, "rehearse", "nowhere").wants(t, 2, `there is no environment "nowhere"`)
	w.archived = nil
	w.berth(t, "rehearse", "production").wants(t, 1, backup.ErrNone.Error())
}

func TestADeployIsRehearsedWhereBerthYAMLSaysSo(t *testing.T) {
	const to = "database: postgres, rehearse: true"
	for _, test := range []struct {
		name      string
		change    func(*world)
		args      string
		status    int
		says      string
		rehearsed bool
		deployed  bool
	}{
		{"good", func(w *world) { w.rehearsal = rehearsal.Report{Good: true} }, "", 0, "production serves revision 2", true, true},
		{"bad", func(*world) {}, "", 1, "production stays as it is: the rehearsal speaks against the release: it loses 3 rows", true, false},
		{"bad, anyway", func(*world) {}, " --anyway", 0, "the rehearsal speaks against the release, which continues", true, true},
		{"it fails", func(w *world) { w.archived = nil }, "", 1, "rehearse the release: " + backup.ErrNone.Error(), true, false},
		{"it fails, anyway", func(w *world) { w.archived = nil }, " --anyway", 0, "could not be rehearsed, and continues", true, true},
		{"nothing is deployed", func(w *world) { w.history = nil }, "", 0, "nothing is deployed to production yet", false, true},
		{"nothing changes", func(w *world) { w.given.Image = "local/shop:2" }, "", 0, "production serves revision 2", false, true},
		{"something but the image changes", func(w *world) { w.given.Image, w.given.Differs = "local/shop:2", true }, "", 1, "production stays as it is", true, false},
		{"berth.yaml does not", func(w *world) { w.project = shop }, "", 0, "production serves revision 2", false, true},
		{"what is left cannot be removed", func(w *world) { w.project = shop; w.fail["sweep"] = errors.New("the namespace stays") }, "", 1, "the namespace stays", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newRehearsed(t, bad)
			w.project = strings.Replace(shop, "database: postgres", to, 1)
			test.change(w)
			got := w.berth(t, strings.Fields("deploy production --image local/shop:2"+test.args)...)
			if all := got.out + got.errors; got.status != test.status || !strings.Contains(all, test.says) {
				t.Errorf("status %d, says:\n%s\nwant %d and %q", got.status, all, test.status, test.says)
			}
			calls := strings.Join(w.calls, "\n")
			if strings.Contains(calls, "rehearse production local/shop:2") != test.rehearsed || strings.Contains(calls, "deploy production local/shop:2") != test.deployed {
				t.Errorf("it calls:\n%s", calls)
			}
		})
	}
}

func TestUpRehearsesToo(t *testing.T) {
	w := newRehearsed(t, bad)
	w.project = strings.Replace(shop, "database: postgres", "database: postgres, rehearse: true", 1)
	w.berth(t, "up").wants(t, 1, "")
	if calls := strings.Join(w.calls, "\n"); !strings.Contains(calls, "deploy staging") || !strings.Contains(calls, "rehearse production") || strings.Contains(calls, "deploy production") {
		t.Errorf("it calls:\n%s", calls)
	}
}
