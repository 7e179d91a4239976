package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"berth/internal/fault"
	"berth/internal/preview"
	"berth/internal/release"
)

// newPreviewed is the shop with previews, one of which is there.
func newPreviewed(t *testing.T) *world {
	w := newShop(t)
	w.project = shop + "previews: {from: production, data: copy, mask: {users.email: email}}\n"
	w.previews = []preview.Preview{{
		Branch: "feature/login", Environment: "shop-preview-login", Host: "login.preview.shop.localhost",
		Who: "mira@laptop", Data: "20260101_030405_900d", Expires: time.Now().Add(time.Hour),
	}}
	w.status = map[string]release.Status{"shop-preview-login": {Environment: "shop-preview-login", Deployed: true, Serving: true, Revision: release.Revision{Number: 3}}}
	return w
}

func TestAPreviewOfABranch(t *testing.T) {
	w := newPreviewed(t)
	w.berth(t, "preview", "signup").wants(t, 0, "signup serves revision 1 until", "https://signup.preview.shop.localhost:8443")
	w.wantCalls(t, "publish", "publish", "bucket", "preview shop-preview-signup of local/shop:1, removed by local/watch:1")

	w = newPreviewed(t)
	got := w.berth(t, "preview", "signup", "--image", "ghcr.io/me/shop:2", "--json")
	var shown struct {
		Branch, Environment, Address, Data string
		Revision                           int
	}
	if err := json.Unmarshal([]byte(got.out), &shown); err != nil || shown.Branch != "signup" || shown.Address != "https://signup.preview.shop.localhost:8443" || shown.Revision != 1 || w.made.Image != "ghcr.io/me/shop:2" {
		t.Errorf("%v: %+v, made %+v", err, got, w.made)
	}
}

func TestAPreviewIsSeededInAPodOfItsOwn(t *testing.T) {
	w := newPreviewed(t)
	w.project = shop + "previews: {from: production, seed: [./seed.py, demo]}\n"
	w.berth(t, "preview", "signup", "--image", "shop:2").wants(t, 0, "signup serves")
	if last := w.calls[len(w.calls)-1]; last != `run in shop-preview-signup  1h0m0s ["./seed.py" "demo"]` {
		t.Errorf("it calls %q", w.calls)
	}
}

func TestWhatKeepsAPreviewFromBeing(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*world)
		args   string
		status int
		says   string
	}{
		{"berth.yaml says nothing of it", func(w *world) { w.project = shop }, "preview signup", 2, "previews: {from: production}"},
		{"there are too many", func(w *world) {
			w.fail["admit"] = fault.WithHint(errors.New("there are 5 previews already"), "berth preview remove old")
		}, "preview signup", 1, "berth preview remove old"},
		{"no branch", func(*world) {}, "preview", 2, "is not on a branch"},
		{"it does not serve", func(w *world) {
			w.fail["preview shop-preview-signup of shop:2, removed by local/watch:1"] = errors.New("it crashes")
		}, "preview signup --image shop:2", 1, "it crashes"},
		{"there is no backup", func(w *world) { w.archived = nil }, "preview signup --image shop:2", 1, "backup"},
		{"nothing to remove", func(*world) {}, "preview remove signup", 0, "There is no preview of signup."},
		{"nothing that CI can reach", func(*world) {}, "preview signup --skip-unconfigured --json", 0, `"skipped": "the provider local is the machine that it runs on"`},
		{"nothing that CI can remove", func(*world) {}, "preview remove --skip-unconfigured -- list", 0, "Skipped: the preview of list"},
		{"nothing to open", func(*world) {}, "preview open signup", 2, "berth preview list"},
		{"nothing to restart", func(*world) {}, "restart signup", 2, `there is no environment "signup"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newPreviewed(t)
			test.change(w)
			w.berth(t, strings.Fields(test.args)...).wants(t, test.status, test.says)
		})
	}
}

func TestPreviewsAreListedOpenedAndRemoved(t *testing.T) {
	w := newPreviewed(t)
	w.api(t)
	w.berth(t, "preview", "list").wants(t, 0, "feature/login", "https://login.preview.shop.localhost:8443", "copy of 20260101_030405_900d", "mira@laptop")
	var all []struct {
		Branch   string
		Revision int
		Serving  bool
	}
	if err := json.Unmarshal([]byte(w.berth(t, "preview", "list", "--json").out), &all); err != nil || len(all) != 1 || all[0].Revision != 3 || !all[0].Serving {
		t.Errorf("%v: %+v", err, all)
	}
	w.berth(t, "preview", "open", "feature/login").wants(t, 0, "https://login.preview.shop.localhost:8443")
	w.berth(t, "preview", "remove", "feature/login").wants(t, 0, "is gone, with its data")
	w.wantCalls(t, "remove preview shop-preview-login")
	got := w.berth(t, "status", "feature/login")
	if got.status != 0 || !strings.Contains(got.out, "https://login.preview.shop.localhost:8443") || strings.Contains(got.out, "staging") {
		t.Errorf("its status is %+v", got)
	}
	w.previews = nil
	w.berth(t, "preview", "list").wants(t, 0, "There are no previews.")
	w.berth(t, "preview", "list", "--json").wants(t, 0, "[]")
}

func TestDestroyRemovesPreviewsToo(t *testing.T) {
	w := newPreviewed(t)
	w.berth(t, "destroy", "--yes").wants(t, 0, "every preview with its data")
	if calls := strings.Join(w.calls, ", "); !strings.Contains(calls, "remove preview shop-preview-login") {
		t.Errorf("it calls %s", calls)
	}
}

// A branch stands in the place of an environment, and so does the preview's own name.
func TestOtherCommandsTakeAPreview(t *testing.T) {
	for args, calls := range map[string]string{
		"restart feature/login":        "restart shop-preview-login ",
		"restart shop-preview-login":   "restart shop-preview-login ",
		"run feature/login -- env":     `run in shop-preview-login  24h0m0s ["env"]`,
		"exec feature/login -- env":    `exec in shop-preview-login  ["env"]`,
		"psql feature/login -c SELECT": `psql in shop-preview-login false ["--command=SELECT"]`,
		"forward feature/login 9000":   "forward shop-preview-login 9000:9000 false",
		"config feature/login":         "given shop-preview-login",
		"rollback feature/login":       "rollback shop-preview-login",
		"history feature/login":        "",
		"logs feature/login":           "",
		"preview logs feature/login":   "",
		"restart production":           "restart production ",
	} {
		w := newPreviewed(t)
		w.berth(t, strings.Fields(args)...).wants(t, 0, "")
		if got := strings.Join(w.calls, ", "); got != calls {
			t.Errorf("berth %s calls %q; want %q", args, got, calls)
		}
	}
}
