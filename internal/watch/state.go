package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/alert"
)

// stateName is the ConfigMap that outlives the pod, stateKey its entry.
const stateName, stateKey = "watch-state", "state.json"

// saved is what a watch remembers.
type saved struct {
	Entries map[string]*Entry
	Letters []alert.Letter
}

// state reads and writes what a watch remembers.
type state struct {
	client    *API
	namespace string
	log       *slog.Logger

	mutex sync.Mutex
	last  string
}

// load returns what was saved; nothing on the first start. What cannot be read is
// no reason not to watch.
func (s *state) load(ctx context.Context) (saved, error) {
	kept := saved{Entries: map[string]*Entry{}}
	var found *core.ConfigMap
	for {
		var err error
		if found, err = s.client.configMap(ctx, s.namespace, stateName); err == nil {
			break
		}
		if apierrors.IsNotFound(err) {
			return kept, nil
		}
		if apierrors.IsForbidden(err) {
			return kept, fmt.Errorf("read what was told before: %w", err)
		}
		s.log.Warn("the API server does not answer, trying again", "error", err.Error())
		select {
		case <-ctx.Done():
			return kept, ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
	if err := json.Unmarshal([]byte(found.Data[stateKey]), &kept); err != nil {
		s.log.Warn("the record of alerts cannot be read", "error", err.Error())
		kept = saved{}
	}
	if kept.Entries == nil {
		kept.Entries = map[string]*Entry{}
	}
	for key, e := range kept.Entries {
		if e == nil {
			delete(kept.Entries, key)
		}
	}
	return kept, nil
}

// save writes it, if it has changed.
func (s *state) save(ctx context.Context, kept saved) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	text, err := json.Marshal(kept)
	if err != nil || string(text) == s.last {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	object := &core.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: stateName, Namespace: s.namespace},
		Data:       map[string]string{stateKey: string(text)},
	}
	err = s.client.updateConfigMap(ctx, object)
	if apierrors.IsNotFound(err) {
		err = s.client.createConfigMap(ctx, object)
	}
	if err != nil {
		s.log.Warn("the record of alerts cannot be saved", "error", err.Error())
		return
	}
	s.last = string(text)
}
