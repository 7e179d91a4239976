package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Metrics is how long metrics are kept; 0 where berth.yaml says nothing of them, and
// negative where it says that none are to be kept any more.
type Metrics time.Duration

const (
	day = 24 * time.Hour
	// mostMetrics is what fits on the volume with room to spare; see docs/metrics.md.
	mostMetrics = 365
)

// UnmarshalText reads a number of days, as "15d", or "0".
func (m *Metrics) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*m = -1
		return nil
	}
	number, isDays := strings.CutSuffix(string(text), "d")
	days, err := strconv.Atoi(number)
	if !isDays || err != nil || days < 1 || days > mostMetrics {
		return fmt.Errorf("must be how many days metrics are kept, 1d to %dd, or 0 to keep none any more", mostMetrics)
	}
	*m = Metrics(time.Duration(days) * day)
	return nil
}

// UnmarshalJSON reads the number of nanoseconds that Metrics are in JSON.
func (m *Metrics) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, (*time.Duration)(m))
}

// Kept reports whether metrics are to be kept.
func (m Metrics) Kept() bool { return m > 0 }

// Unwanted reports whether those that are kept are to go.
func (m Metrics) Unwanted() bool { return m < 0 }

// Days is for how many days they are kept.
func (m Metrics) Days() int { return int(max(0, time.Duration(m)) / day) }
