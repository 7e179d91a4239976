package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Environments and processes that share keys write them once.
func TestMappingsAreMerged(t *testing.T) {
	const plain = "name: tiny\nimage: nginx:1\nport: 80\n"
	for _, test := range []struct {
		name, source string
		want         map[string]map[string]string
	}{
		{"an environment of another",
			"environments:\n  staging: &all\n    hosts: [a.localhost]\n    env: {A: '1'}\n  production:\n    <<: *all\n    hosts: [b.localhost]\n",
			map[string]map[string]string{"staging": {"A": "1"}, "production": {"A": "1"}}},
		{"a key of its own wins, wherever it stands",
			"environments:\n  staging: {hosts: [a.localhost], env: {A: '2', <<: &more {A: '1', B: '1'}}}\n  production: {hosts: [b.localhost], env: {<<: *more, B: '3'}}\n",
			map[string]map[string]string{"staging": {"A": "2", "B": "1"}, "production": {"A": "1", "B": "3"}}},
		{"the first of several wins",
			"environments:\n  staging: {hosts: [a.localhost], env: {<<: [{A: '1'}, {A: '2', B: '2'}]}}\n",
			map[string]map[string]string{"staging": {"A": "1", "B": "2"}}},
		{"what is merged merges",
			"environments:\n  staging: {hosts: [a.localhost], env: {<<: {A: '1', <<: {A: '2', B: '2'}}}}\n",
			map[string]map[string]string{"staging": {"A": "1", "B": "2"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := parse([]byte(plain + test.source))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]map[string]string{}
			for name, e := range c.Environments {
				got[name] = e.Env
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the variables (-want +got):\n%s", diff)
			}
			if first := c.EnvironmentNames()[0]; first != "staging" {
				t.Errorf("the first environment is %s", first)
			}
		})
	}
}

// A mapping that merges itself has no end.
func TestAMappingMergedIntoItself(t *testing.T) {
	for _, source := range []string{"env: &a\n  <<: *a\n", "env: &a {B: &b {<<: *a}}\n", "&a a: *a\n", "env: &a [*a]\n"} {
		if _, err := parse([]byte("name: tiny\n" + source)); err == nil {
			t.Errorf("%q is taken", source)
		}
	}
}
