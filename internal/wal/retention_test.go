package wal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/internal/backup"
)

func TestSegmentNames(t *testing.T) {
	for _, c := range []struct {
		at   string
		size int64
		name string
	}{
		{"0/2000028", 16 << 20, "000000010000000000000002"},
		{"16/B374D848", 16 << 20, "0000000100000016000000B3"},
		{"1/0", 16 << 20, "000000010000000100000000"},
		{"1/0", 1 << 30, "000000010000000100000000"},
		{"1/C0000000", 1 << 30, "000000010000000100000003"},
	} {
		at, err := ParseLSN(c.at)
		if err != nil || at.String() != c.at {
			t.Fatalf("%s is %s, %v", c.at, at, err)
		}
		segment := segmentOf(at, c.size)
		if got := segment.name(1, c.size); got != c.name || parseSegment(got, c.size) != segment {
			t.Errorf("%s is in %s, want %s", c.at, got, c.name)
		}
	}
	for _, bad := range []string{"", "0", "0/", "/0", "g/0", "0/0/0", "100000000/0"} {
		if at, err := ParseLSN(bad); err == nil {
			t.Errorf("%q is %s", bad, at)
		}
	}
}

// Each letter is a base: v verified, d damaged, u neither; the newest first, a comma
// between chains.
func TestRetention(t *testing.T) {
	for _, c := range []struct {
		chains string
		last   int
		kept   string
	}{
		{"uuu", 2, "uu."},
		{"vvvv", 2, "vv.."},
		{"uuuv", 1, "uuuv"}, // the newest verified one, and what is newer
		{"dddvv", 1, "dddv."},
		{"dv", 1, "dv"},
		{"uuu", 1, "u.."},
		{"u,vv", 1, "u,v."}, // of the server before
		{"vu,vv", 3, "vu,v."},
		{"v,vv", 1, "v,.."},
		{"ddd", 1, "d.."},
	} {
		var chains []*Chain
		for i, letters := range strings.Split(c.chains, ",") {
			chain := &Chain{Name: fmt.Sprintf("%d-1", i)}
			for j, letter := range letters {
				b := Base{ID: fmt.Sprintf("%d.%d", i, j)}
				if letter != 'u' {
					b.Verified = &Verification{OK: letter == 'v'}
				}
				chain.Bases = append(chain.Bases, b)
			}
			chains = append(chains, chain)
		}
		kept := keep(chains, c.last)
		var got []string
		for i, letters := range strings.Split(c.chains, ",") {
			text := ""
			for j, letter := range letters {
				if kept[fmt.Sprintf("%d.%d", i, j)] {
					text += string(letter)
				} else {
					text += "."
				}
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(c.kept, strings.Join(got, ",")); diff != "" {
			t.Errorf("%s, the last %d (-want +got):\n%s", c.chains, c.last, diff)
		}
	}
}

// The log goes with the bases that need it.
func TestPrune(t *testing.T) {
	s := newSite(t)
	s.stream()
	s.await(s.now())
	a := s.archive("wal")
	for range 3 {
		s.write(1, 10)
		s.exec("DELETE FROM articles; SELECT pg_switch_wal()")
		b, err := a.Base(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Await(t.Context(), b, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	before := s.objects("????????????????????????.zst")
	p, err := a.Prune(t.Context(), 2)
	if err != nil || len(p.Bases) != 2 || p.Segments == 0 {
		t.Fatalf("got %+v, %v", p, err)
	}
	after := s.objects("????????????????????????.zst")
	if len(after) >= len(before) || !slices.Equal(after, before[len(before)-len(after):]) && len(after) > 0 {
		t.Errorf("the segments are %v, before %v", after, before)
	}
	windows, err := a.Windows(t.Context())
	if err != nil || len(windows) != 1 || !windows[0].Live {
		t.Errorf("got %+v, %v", windows, err)
	}
	at := s.now()
	s.await(at)
	if got := s.rows(at); got != 0 {
		t.Errorf("there are %d articles", got)
	}
}

// What a manifest says is not believed where it cannot be.
func TestBadManifests(t *testing.T) {
	good := Base{ID: "20260102_030405_cafe", Chain: "7-1", SegmentBytes: 16 << 20, Start: 1, End: 2, Timeline: 1}
	good.Object = backup.Object{Name: good.name(".tar.zst.age")}
	if err := good.validate("7-1", good.ID); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Base){
		func(b *Base) { b.ID = "20260102_030405_beef" },
		func(b *Base) { b.Chain = "8-1" },
		func(b *Base) { b.Object.Name = "wal/8-1/base-" + b.ID + ".tar.zst" },
		func(b *Base) { b.SegmentBytes = 0 },
		func(b *Base) { b.SegmentBytes = 3 << 20 },
		func(b *Base) { b.End = 0 },
		func(b *Base) { b.Timeline = 0 },
	} {
		bad := good
		change(&bad)
		if err := bad.validate("7-1", good.ID); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
