package provider

import "testing"

func TestURL(t *testing.T) {
	on := func(https string) *Cluster { return &Cluster{Ingress: &Ingress{HTTPS: https}} }
	for _, test := range []struct {
		cluster *Cluster
		want    string
	}{
		{on("127.0.0.1:8443"), "https://tiny.example:8443"},
		{on("127.0.0.1:443"), "https://tiny.example"},
		{&Cluster{Issuer: "letsencrypt"}, "https://tiny.example"},
		{&Cluster{}, "http://tiny.example"},
	} {
		if got := test.cluster.URL("tiny.example"); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}
