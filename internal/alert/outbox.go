package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Letter is a message that waits to be delivered.
type Letter struct {
	Message
	Written time.Time
	// To are the IDs of the destinations that have not taken it yet.
	To []string
}

const (
	// mostLetters bounds an outbox; when it is full, the oldest letter goes.
	mostLetters = 100
	// oldestLetter is how long a letter is tried.
	oldestLetter = 24 * time.Hour
	// firstPause and longestPause are those between two attempts.
	firstPause, longestPause = 2 * time.Second, 2 * time.Minute
)

// An Outbox keeps messages until every destination has taken them, each in order
// and each at its own pace. A message that a destination refuses for what it says
// holds up no other. Fill its fields before [Outbox.Run].
type Outbox struct {
	Destinations []Destination
	// Save is called with what waits whenever that has changed, before a message
	// is sent for the first time. One that cannot be saved is sent all the same.
	Save func(context.Context)

	mutex   sync.Mutex
	letters []*Letter
	states  map[string]*Delivery
	wake    map[string]chan struct{}
}

// A Delivery is how a destination takes messages.
type Delivery struct {
	Name     string    `json:"name"`
	LastSent time.Time `json:"lastSent,omitzero"`
	Waiting  int       `json:"waiting"`
	// Problem is why the last attempt failed; empty when it did not.
	Problem string    `json:"problem,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}

// Load puts letters of an earlier run back. What waits for destinations that are
// no more goes.
func (o *Outbox) Load(letters []Letter) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.prepare()
	for _, l := range letters {
		l.To = slices.DeleteFunc(slices.Clone(l.To), func(id string) bool { return o.wake[id] == nil })
		if len(l.To) > 0 {
			o.letters = append(o.letters, &l)
		}
	}
}

func (o *Outbox) prepare() {
	if o.wake != nil {
		return
	}
	o.wake, o.states = map[string]chan struct{}{}, map[string]*Delivery{}
	for _, d := range o.Destinations {
		o.wake[d.ID] = make(chan struct{}, 1)
		o.states[d.ID] = &Delivery{Name: d.Name}
	}
}

// Add queues a message. Once the queue is saved, send it with [Outbox.Wake].
func (o *Outbox) Add(m Message, now time.Time) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.prepare()
	l := &Letter{Message: m, Written: now}
	for _, d := range o.Destinations {
		l.To = append(l.To, d.ID)
	}
	o.letters = append(o.letters, l)
	if more := len(o.letters) - mostLetters; more > 0 {
		o.letters = o.letters[more:]
	}
}

// Wake has what was added sent.
func (o *Outbox) Wake() {
	for _, wake := range o.wake {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// Waiting returns the letters that have not arrived everywhere.
func (o *Outbox) Waiting() []Letter {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	var all []Letter
	for _, l := range o.letters {
		kept := *l
		kept.To = slices.Clone(l.To)
		all = append(all, kept)
	}
	return all
}

// Deliveries says how the destinations take messages.
func (o *Outbox) Deliveries() []Delivery {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.prepare()
	all := []Delivery{}
	for _, d := range o.Destinations {
		state := *o.states[d.ID]
		for _, l := range o.letters {
			if slices.Contains(l.To, d.ID) {
				state.Waiting++
			}
		}
		all = append(all, state)
	}
	return all
}

// Oldest is when the letter was written that has waited longest; zero where none
// waits.
func (o *Outbox) Oldest() time.Time {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if len(o.letters) == 0 {
		return time.Time{}
	}
	return o.letters[0].Written
}

// Run delivers until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	o.mutex.Lock()
	o.prepare()
	o.mutex.Unlock()
	var all sync.WaitGroup
	for _, d := range o.Destinations {
		all.Go(func() { o.deliver(ctx, d) })
	}
	all.Wait()
}

// deliver sends one destination its letters, one after the other. After one that
// is refused for what it says, it goes on with those behind it, in a circle.
func (o *Outbox) deliver(ctx context.Context, d Destination) {
	pause := firstPause
	var passed *Letter
	for ctx.Err() == nil {
		select {
		case <-o.wake[d.ID]: // what was added is looked at now
		default:
		}
		l := o.next(d.ID, passed)
		if l == nil {
			select {
			case <-ctx.Done():
			case <-o.wake[d.ID]:
			}
			continue
		}
		err := d.Send(ctx, l.late(time.Now()))
		if ctx.Err() != nil && err != nil {
			return
		}
		o.ended(d.ID, l, err)
		if err == nil {
			pause = firstPause
			o.Save(ctx)
			continue
		}
		wait, added := pause, chan struct{}(nil)
		var no refused
		if errors.As(err, &no) {
			wait = max(wait, no.wait)
			if no.message {
				passed, added = l, o.wake[d.ID]
			}
		}
		pause = min(2*pause, longestPause)
		select {
		case <-ctx.Done():
		case <-added:
		case <-time.After(wait):
		}
	}
}

// next returns the oldest letter for a destination; after a letter that was
// passed over, the one behind it, if there is one.
func (o *Outbox) next(id string, passed *Letter) *Letter {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	var waiting []*Letter
	for _, l := range o.letters {
		if slices.Contains(l.To, id) {
			waiting = append(waiting, l)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	return waiting[(slices.Index(waiting, passed)+1)%len(waiting)]
}

// ended notes how an attempt ended.
func (o *Outbox) ended(id string, l *Letter, err error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	state, now := o.states[id], time.Now()
	if err == nil {
		state.LastSent, state.Problem, state.Since = now, "", time.Time{}
	} else {
		if state.Problem == "" {
			state.Since = now
		}
		state.Problem = err.Error()
	}
	if err == nil || now.Sub(l.Written) > oldestLetter {
		l.To = slices.DeleteFunc(l.To, func(to string) bool { return to == id })
	}
	o.letters = slices.DeleteFunc(o.letters, func(l *Letter) bool { return len(l.To) == 0 })
}

// late says of a message that took long when it was written.
func (l *Letter) late(now time.Time) Message {
	m := l.Message
	if took := now.Sub(l.Written); took > 2*time.Minute {
		m.Text += fmt.Sprintf("\n(written %s ago, at %s, and delivered late)", took.Round(time.Minute), l.Written.UTC().Format("15:04 UTC"))
	}
	return m
}
