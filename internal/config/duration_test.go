package config

import (
	"fmt"
	"testing"
	"time"
)

func TestJudgeOfAnEnvironmentGoesBeforeTheApplications(t *testing.T) {
	const environments = "environments: {staging: {hosts: [a.localhost]%s}}\nname: tiny\nimage: tiny:1\nport: 80\n"
	for _, test := range []struct {
		application, environment string
		want                     time.Duration
	}{
		{"", "", 0},
		{"judge: 60s\n", "", time.Minute},
		{"judge: 60s\n", ", judge: 2m", 2 * time.Minute},
		{"judge: 60s\n", ", judge: never", 0},
		{"judge: never\n", ", judge: 10s", 10 * time.Second},
	} {
		c, err := Load(folder(t, map[string]string{File: test.application + fmt.Sprintf(environments, test.environment)}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.JudgeOf("staging"); got != test.want {
			t.Errorf("%q and %q: %s, want %s", test.application, test.environment, got, test.want)
		}
	}
}

func TestDurations(t *testing.T) {
	var d Duration
	if err := d.UnmarshalText([]byte("1h30m")); err != nil || d.Seconds() != 5400 || d.String() != "1h30m0s" || time.Duration(d) != 90*time.Minute {
		t.Errorf("got %s, %v", d, err)
	}
	for _, bad := range []string{"", "10", "-1s", "0s", "999ms", "1.5s", "1d", "soon"} {
		if err := d.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
