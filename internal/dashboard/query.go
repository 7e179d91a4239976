package dashboard

import (
	"html/template"
	"net/url"
	"time"

	"berth/internal/fault"
	"berth/internal/logs"
)

// fields are what the form above the lines says, as it stands in the URL.
type fields struct {
	Search, Level, Since string
	From, Until          string
}

// spans are the times to choose from, by the form's word for them.
var spans = map[string]time.Duration{"1h": time.Hour, "6h": 6 * time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour}

// choice is one of the times to choose from.
type choice struct{ Word, Text string }

var choices = []choice{
	{live, "live, and the last 10 minutes"}, {"1h", "last hour"}, {"6h", "last 6 hours"}, {"24h", "last 24 hours"}, {"7d", "last 7 days"}, {between, "between…"},
}

// live is the word for what the cluster has of the last minutes, and between that
// for a time with a beginning and an end.
const live, between = "live", "between"

// recent is what the live view begins with.
const recent = 10 * time.Minute

func fieldsOf(v url.Values) fields {
	f := fields{Search: v.Get("search"), Level: v.Get("level"), Since: v.Get("since"), From: v.Get("from"), Until: v.Get("until")}
	if _, known := spans[f.Since]; !known && f.Since != between {
		f.Since = live
	}
	return f
}

// query is what the fields ask for.
func (f fields) query(now time.Time) (LogQuery, error) {
	q := LogQuery{Query: logs.Query{Level: f.Level}, Follow: true, Archive: true}
	var err error
	switch span := spans[f.Since]; {
	case span > 0:
		q.From = now.Add(-span)
	case f.Since == between:
		q.Follow = false
		if q.From, err = clock(f.From); err == nil {
			q.Until, err = clock(f.Until)
		}
	default:
		q.From, q.Archive = now.Add(-recent), false
	}
	if err != nil {
		return q, err
	}
	if q.Grep, err = logs.Pattern(f.Search); err != nil {
		return q, err
	}
	return q, q.Validate()
}

// clock reads a time as a form sends it, which is the machine's; empty is none.
func clock(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04:05.999"} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fault.Usage("%q is no time", text)
}

// logsAround is the query of the log page for what was written while a revision came.
func logsAround(t story) template.URL {
	const layout, most = "2006-01-02T15:04:05", 15 * time.Minute
	until := t.When.Add(most)
	if !t.Until.IsZero() && t.Until.Before(until) {
		until = t.Until
	}
	return template.URL(url.Values{
		"since": {between}, "from": {t.When.Add(-time.Minute).Local().Format(layout)}, "until": {until.Add(time.Second).Local().Format(layout)},
	}.Encode())
}
