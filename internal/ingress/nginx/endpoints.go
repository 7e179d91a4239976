package nginx

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxFeed is the most that one request to NGINX carries, below the limit in the
// configuration.
const maxFeed = 1 << 20

// Keys that are not of a backend; see endpoints.lua.
const (
	keyDrain = "!drain" // the newest generation whose connections are to be closed
	keyFull  = "!full"  // no more uploads fit
)

// ServeEndpoints gives NGINX the endpoints of each backend, as ADDRESS:PORT. A
// backend that is not named any more has none. It needs no reload.
func (s *Server) ServeEndpoints(ctx context.Context, endpoints map[string][]string) error {
	return s.feed(ctx, text(endpoints), true)
}

// text writes endpoints as endpoints.lua reads them.
func text(endpoints map[string][]string) map[string]string {
	all := map[string]string{}
	for backend, servers := range endpoints {
		var words []string
		for _, server := range servers {
			address, err := netip.ParseAddrPort(server)
			if err != nil {
				continue // Build makes none
			}
			host := address.Addr().String()
			if address.Addr().Is6() {
				host = "[" + host + "]"
			}
			words = append(words, host, strconv.Itoa(int(address.Port())))
		}
		if len(words) > 0 {
			all[backend] = strings.Join(words, " ")
		}
	}
	return all
}

// feed brings NGINX's dictionary from what it was fed before to what is wanted.
func (s *Server) feed(ctx context.Context, want map[string]string, remove bool) error {
	var batch bytes.Buffer
	changed := map[string]string{}
	flush := func() error {
		if batch.Len() == 0 {
			return nil
		}
		if err := s.post(ctx, batch.Bytes()); err != nil {
			return err
		}
		for key, value := range changed {
			if value == "" {
				delete(s.fed, key)
			} else {
				s.fed[key] = value
			}
		}
		batch.Reset()
		clear(changed)
		return nil
	}
	add := func(key, value string) error {
		if s.fed[key] == value {
			return nil
		}
		changed[key] = value
		fmt.Fprintf(&batch, "%s %s\n", key, value)
		if batch.Len() > maxFeed {
			return flush()
		}
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if err := add(key, want[key]); err != nil {
			return err
		}
	}
	if remove {
		for _, key := range slices.Sorted(maps.Keys(s.fed)) {
			if _, wanted := want[key]; wanted {
				continue
			}
			if err := add(key, ""); err != nil {
				return err
			}
		}
	}
	return flush()
}

// post sends lines of a key and its value. Without a value the key is removed.
func (s *Server) post(ctx context.Context, lines []byte) error {
	_, err := s.ask(ctx, http.MethodPost, "/endpoints", lines)
	return err
}
