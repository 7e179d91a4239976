package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
)

// sees notes whether something could be looked at.
func (l *looks) sees(what string, err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.blindTo, what)
	if err != nil {
		l.blindTo[what] = err.Error()
	}
}

// blind says what could not be looked at.
func (l *looks) blind() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(l.blindTo)) {
		all = append(all, what+": "+l.blindTo[what])
	}
	return all
}

// get asks for JSON.
func get(ctx context.Context, client *http.Client, address string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", response.Status)
	}
	return json.NewDecoder(io.LimitReader(response.Body, answerLimit)).Decode(answer)
}
