package anonymize

import (
	"fmt"
	"testing"
)

// BenchmarkSearch searches texts for a hundred thousand addresses, of which they have none.
func BenchmarkSearch(b *testing.B) {
	values := newNeedles(nil)
	for n := range 100_000 {
		values.add(fmt.Appendf(nil, "person%d@shop.example", n), "users.email")
	}
	var texts [][]byte
	size := 0
	for n := range 1000 {
		text := fmt.Appendf(nil, "Order %d was sent to the person who wants it by noon; it is paid for, and %x is its number. ", n, n*7919)
		texts = append(texts, text)
		size += len(text)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		for _, text := range texts {
			if values.in(text) != "" {
				b.Fatal("somebody is found")
			}
		}
	}
}
