package alert

import "time"

// A Report is the watch's view of its cluster, as it answers berth.
type Report struct {
	// Problems are those that were told and have not healed, the oldest first,
	// and Suspected those that have not lasted long enough to be told.
	Problems  []Problem `json:"problems"`
	Suspected []Problem `json:"suspected"`
	// Destinations are how messages are delivered.
	Destinations []Delivery `json:"destinations"`
	// Blind says what the watch could not look at.
	Blind []string `json:"blind,omitempty"`
	// Deploying are the environments that a deploy is at work on: nothing is
	// told of them meanwhile.
	Deploying []string `json:"deploying,omitempty"`
}

// A Problem is one thing that is broken.
type Problem struct {
	Title string    `json:"title"`
	Kind  string    `json:"kind"`
	Since time.Time `json:"since"`
	Told  time.Time `json:"told,omitzero"`
}
