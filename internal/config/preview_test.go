package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/internal/fault"
)

const previewed = `
name: shop
dockerfile: Dockerfile
port: 80
secrets: [TOKEN, KEY]
env: {LEVEL: info, HOME_URL: https://shop.example}
processes:
  worker: {command: [work], replicas: 3}
  nightly: {command: [clean], schedule: "0 3 * * *"}
environments:
  staging: {hosts: [staging.shop.localhost], database: sqlite}
  production:
    hosts: [shop.example]
    database: postgres
    replicas: 4
    rehearse: true
    secrets: [OWN]
    values: {replicas: 6, autoscaling: {enabled: true}, ingress: {hosts: [shop.example], annotations: {a: b}}, postgresql: {size: 20Gi}}
previews:
  from: production
  data: copy
  mask: {users.email: email, users.phone: null, crm.people.name: Somebody}
  env: {HOME_URL: https://preview.example}
`

func TestAPreviewIsLikeItsEnvironmentAndSmaller(t *testing.T) {
	c, err := Load(folder(t, map[string]string{
		File:   previewed,
		".env": "TOKEN=common\nPRODUCTION_KEY=of production\nPREVIEW_KEY=of previews\nPRODUCTION_OWN=own\nBUCKET_SECRET_KEY=bucket\n",
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Previews{
		From: "production", Data: CopiedData, Mask: map[string]string{"users.email": MaskEmail, "users.phone": MaskNull, "crm.people.name": "Somebody"},
		Env: map[string]string{"HOME_URL": "https://preview.example"}, Host: "*.preview.shop.localhost", Expire: Duration(72 * time.Hour), Limit: 5,
	}
	if diff := cmp.Diff(want, c.Previews); diff != "" {
		t.Error(diff)
	}
	p := c.Preview("shop-preview-login", c.PreviewHost("login"))
	if got := p.EnvironmentNames(); !cmp.Equal(got, []string{"shop-preview-login"}) {
		t.Fatalf("the environments are %v", got)
	}
	e := p.Environments["shop-preview-login"]
	if e.Backup.Enabled() || e.Rehearse || e.Replicas != 1 || e.Database != Postgres || !cmp.Equal(e.Hosts, []string{"login.preview.shop.localhost"}) {
		t.Errorf("it is %+v", e)
	}
	if _, cron := p.Processes["nightly"]; cron || p.ReplicasOf("shop-preview-login", "worker") != 1 {
		t.Errorf("it runs %+v", p.Processes)
	}
	values := map[string]any{
		"autoscaling": map[string]any{"enabled": false}, "pdb": map[string]any{"enabled": false},
		"ingress":        map[string]any{"annotations": map[string]any{"a": "b"}},
		"preStopSeconds": 5, "terminationGracePeriodSeconds": 10,
		"postgresql": map[string]any{"size": "20Gi", "terminationGracePeriodSeconds": 10},
	}
	if diff := cmp.Diff(values, e.Values); diff != "" {
		t.Error(diff)
	}
	if got := p.EnvOf("shop-preview-login"); got["HOME_URL"] != "https://preview.example" || got["LEVEL"] != "info" {
		t.Errorf("its variables are %v", got)
	}
	// Of .env it has what is for previews; the common secrets are production's too.
	if diff := cmp.Diff(map[string]string{"SHOP_PREVIEW_LOGIN_KEY": "of previews", "PREVIEW_KEY": "of previews", "BUCKET_SECRET_KEY": "bucket"}, p.DotEnv); diff != "" {
		t.Error(diff)
	}
	if production := c.Environments["production"]; production.Replicas != 4 || production.Values["replicas"] != 6 || len(c.Processes) != 2 || c.DotEnv["TOKEN"] != "common" {
		t.Errorf("production has changed: %+v", production)
	}
}

func TestMistakesOfPreviews(t *testing.T) {
	with := func(previews string) string {
		return strings.Split(previewed, "previews:")[0] + "previews: {" + previews + "}\n"
	}
	for _, test := range []struct {
		name, source, want string
	}{
		{"nothing to be like", with("expire: 1h"), "previews.from: must name the environment that previews are like"},
		{"an unknown environment", with("from: produktion"), `previews.from: there is no such environment; did you mean "production"?`},
		{"a copy without a mask", with("from: production, data: copy"), "previews.data: a copy needs a mask"},
		{"a copy of what has no backups", with("from: staging, data: copy, mask: {}"), "previews.data: staging has no backups"},
		{"a mask of a file", strings.Replace(with("from: staging, data: copy, mask: {a.b: email}"), "database: sqlite", `database: sqlite, backup: {schedule: "0 1 * * *"}`, 1), "previews.mask: is for the database postgres"},
		{"a mask of nothing", with("from: production, mask: {a.b: email}"), "previews.mask: is for data: copy"},
		{"a mask of no column", with("from: production, data: copy, mask: {email: email}"), "previews.mask.email: must be table.column"},
		{"a seed of a copy", with("from: production, data: copy, mask: {}, seed: [a]"), "previews.seed: is for data: empty"},
		{"an empty seed", with("from: production, seed: []"), "previews.seed: must be a list"},
		{"other data", with("from: production, data: all"), `previews.data: must be copy or empty; it is "all"`},
		{"one host for all", with("from: production, host: preview.shop.example"), "previews.host: must be a wildcard"},
		{"no host elsewhere", strings.Replace(with("from: production"), "name: shop", "name: shop\nprovider: existing", 1), "previews.host: must name the wildcard for"},
		{"a host that is taken", strings.Replace(with(`from: production, host: "*.shop.example"`), "hosts: [shop.example]", `hosts: ["*.shop.example"]`, 1), "*.shop.example is a host of production already"},
		{"too short", with("from: production, expire: 30s"), "previews.expire: must be 1m to 720h; it is 30s"},
		{"too long", with("from: production, expire: 1000h"), "previews.expire: must be 1m to 720h"},
		{"none at all", with("from: production, limit: -1"), "previews.limit: must be 1 or more; it is -1"},
		{"no variable", with(`from: production, env: {"1A": x}`), "previews.env.1A: must be the name of an environment variable"},
		{"the name of previews' secrets", strings.Replace(with("from: production"), "  staging:", "  preview:", 1), "environments.preview: the name is that of previews"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(folder(t, map[string]string{File: test.source}), nil)
			if !fault.IsUsage(err) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	for _, good := range []string{"from: production", "from: staging, seed: ./seed.sh", "from: production, data: copy, mask: {}"} {
		if _, err := Load(folder(t, map[string]string{File: with(good)}), nil); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}
