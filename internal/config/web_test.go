package config

import "testing"

func TestTheHostOfHealth(t *testing.T) {
	for _, test := range []struct {
		health Health
		hosts  []string
		want   string
	}{
		{Health{}, []string{"shop.example", "www.shop.example"}, "shop.example"},
		{Health{}, []string{"*.shop.example"}, "www.shop.example"},
		{Health{Host: "localhost"}, []string{"shop.example"}, "localhost"},
		{Health{}, nil, ""},
	} {
		c := &Config{Health: test.health, Environments: map[string]Environment{"production": {Hosts: test.hosts}}}
		if got := c.HealthHost("production"); got != test.want {
			t.Errorf("%v %v: got %q, want %q", test.health, test.hosts, got, test.want)
		}
	}
}

func TestWhichStatusIsHealthy(t *testing.T) {
	for _, test := range []struct {
		expected, got   int
		healthy, byHTTP bool
	}{
		{0, 200, true, true}, {0, 302, true, true}, {0, 400, false, true}, {0, 101, false, true},
		{204, 204, true, true}, {204, 200, false, true}, {401, 401, true, false}, {401, 200, false, false},
	} {
		h := Health{Status: test.expected}
		if h.Accepts(test.got) != test.healthy || h.ByHTTP() != test.byHTTP {
			t.Errorf("%+v: accepted %v, by HTTP %v", test, h.Accepts(test.got), h.ByHTTP())
		}
	}
}
