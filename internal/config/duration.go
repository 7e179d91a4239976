package config

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Judge is how long the answers of a new revision are judged after it serves; 0 if
// berth.yaml does not say, and negative for never.
type Judge time.Duration

// How long a judging takes: less sees too little, more nobody waits for.
const (
	shortestJudge = 10 * time.Second
	longestJudge  = 10 * time.Minute
)

// UnmarshalText reads a duration, or "never".
func (j *Judge) UnmarshalText(text []byte) error {
	if string(text) == "never" {
		*j = -1
		return nil
	}
	var d Duration
	if err := d.UnmarshalText(text); err != nil || time.Duration(d) < shortestJudge || time.Duration(d) > longestJudge {
		return fmt.Errorf("must be a duration from %s to %s like 60s, or never", Duration(shortestJudge), Duration(longestJudge))
	}
	*j = Judge(d)
	return nil
}

// UnmarshalJSON reads the number of nanoseconds that a Judge is in JSON.
func (j *Judge) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, (*time.Duration)(j))
}

// JudgeOf returns how long the answers of an environment's new revision are judged;
// 0 for not at all.
func (c *Config) JudgeOf(environment string) time.Duration {
	own := c.Environments[environment].Judge
	if own == 0 {
		own = c.Judge
	}
	return max(0, time.Duration(own))
}

// Duration is a time in whole seconds, written as 90s, 10m or 1h30m.
type Duration time.Duration

var _ encoding.TextUnmarshaler = (*Duration)(nil)

// UnmarshalText reads what [time.ParseDuration] reads, if it is at least a
// second.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < time.Second || parsed%time.Second != 0 {
		return errors.New("must be a duration in whole seconds like 90s, 10m or 1h30m")
	}
	*d = Duration(parsed)
	return nil
}

// UnmarshalJSON reads the number of nanoseconds that a Duration is in JSON.
func (d *Duration) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, (*time.Duration)(d))
}

// Seconds is what Kubernetes counts in.
func (d Duration) Seconds() int { return int(time.Duration(d) / time.Second) }

func (d Duration) String() string { return time.Duration(d).String() }
