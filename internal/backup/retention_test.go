package backup

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// A backup is written as its time and a mark: + verified, ! damaged, ~ does not load,
// ? unreadable.
func TestRetention(t *testing.T) {
	for _, test := range []struct {
		name    string
		keep    Retention
		entries string // newest first
		want    string
	}{
		{name: "last", keep: Retention{Last: 2}, entries: "2026-03-05+ 2026-03-04+ 2026-03-03+", want: "2026-03-05 2026-03-04"},
		{name: "daily takes the newest of a day", keep: Retention{Daily: 2},
			entries: "2026-03-05T18+ 2026-03-05T06+ 2026-03-04+ 2026-03-03+", want: "2026-03-05T18 2026-03-04"},
		{name: "days without any do not count", keep: Retention{Daily: 2}, entries: "2026-03-05+ 2026-02-01+ 2026-01-01+", want: "2026-03-05 2026-02-01"},
		// 2026-01-01 is in week 1 with 2025-12-31 (ISO 8601).
		{name: "weekly", keep: Retention{Weekly: 2}, entries: "2026-01-01+ 2025-12-31+ 2025-12-28+ 2025-12-27+", want: "2026-01-01 2025-12-28"},
		{name: "monthly", keep: Retention{Monthly: 2}, entries: "2026-03-05+ 2026-03-01+ 2026-02-28+ 2026-01-31+", want: "2026-03-05 2026-02-28"},
		{name: "all together", keep: Retention{Last: 1, Daily: 2, Monthly: 2}, entries: "2026-03-05+ 2026-03-04+ 2026-03-03+ 2026-02-28+",
			want: "2026-03-05 2026-03-04 2026-02-28"},
		{name: "the newest verified stays", keep: Retention{Last: 1}, entries: "2026-03-05 2026-03-04 2026-03-03+ 2026-03-02+",
			want: "2026-03-05 2026-03-04 2026-03-03"},
		{name: "a damaged one takes no place", keep: Retention{Last: 1}, entries: "2026-03-05! 2026-03-04+ 2026-03-03!", want: "2026-03-05 2026-03-04"},
		{name: "none was ever verified", keep: Retention{Last: 2}, entries: "2026-03-05 2026-03-04 2026-03-03", want: "2026-03-05 2026-03-04"},
		{name: "those that do not load have places of their own", keep: Retention{Last: 2}, entries: "2026-03-05~ 2026-03-04+ 2026-03-03~ 2026-03-02~ 2026-03-01+ 2026-02-28+",
			want: "2026-03-05 2026-03-04 2026-03-03 2026-03-01"},
		{name: "none ever loaded", keep: Retention{Last: 2}, entries: "2026-03-05~ 2026-03-04~ 2026-03-03~", want: "2026-03-05 2026-03-04"},
		{name: "what cannot be read stays", keep: Retention{Last: 1}, entries: "2026-03-05+ 2026-03-04? 2026-03-03+", want: "2026-03-05 2026-03-04"},
		{name: "nothing", keep: Retention{Last: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var entries []Entry
			for word := range strings.FieldsSeq(test.entries) {
				id := strings.TrimRight(word, "+!~?")
				layout := time.DateOnly
				if strings.Contains(id, "T") {
					layout = "2006-01-02T15"
				}
				started, err := time.Parse(layout, id)
				if err != nil {
					t.Fatal(err)
				}
				entry := Entry{Manifest: Manifest{ID: id, Started: started}}
				if strings.HasSuffix(word, "?") {
					entry.Unreadable = true
				} else if word != id {
					entry.Verified = &Verification{OK: strings.HasSuffix(word, "+"), DoesNotLoad: strings.HasSuffix(word, "~")}
				}
				entries = append(entries, entry)
			}
			kept := test.keep.keep(entries)
			var got []string
			for _, entry := range entries {
				if kept[entry.ID] {
					got = append(got, entry.ID)
				}
			}
			if want := strings.Fields(test.want); !slices.Equal(got, want) {
				t.Errorf("kept %v, want %v", got, want)
			}
		})
	}
}

// Two databases in one bucket do not take each other's places.
func TestRetentionIsPerDatabase(t *testing.T) {
	of := func(id, database string) Entry {
		return Entry{Manifest: Manifest{ID: id, Database: DatabaseInfo{Name: database}}}
	}
	kept := Retention{Last: 1}.keep([]Entry{of("4", "a"), of("3", "a"), of("2", "b"), of("1", "b")})
	if !kept["4"] || !kept["2"] || len(kept) != 2 {
		t.Errorf("kept %v", kept)
	}
}
