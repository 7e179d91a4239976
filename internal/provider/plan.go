package provider

import (
	"context"
	"strings"

	"berth/internal/progress"
)

// Planner is a provider that can say what Init would do without doing it.
type Planner interface {
	Plan(ctx context.Context, r progress.Reporter) (*Plan, error)
}

// Plan is what Init would change, and the price of the result.
type Plan struct {
	// Changes are in the order of their names; empty when all is as it should be.
	Changes []Change `json:"changes"`
	// Costs are those of everything, not of the changes alone.
	Costs []Cost `json:"costs"`
	// Notes say what else is worth knowing, like prices that nobody tells.
	Notes []string `json:"notes"`
	// Refused says why Init would not do this; empty when it would.
	Refused string `json:"refused,omitempty"`
}

// Change is one thing that Init would make, change or remove.
type Change struct {
	// Action is "make", "change", "replace", "remove" or "import".
	Action string `json:"action"`
	// What it is, in words: "the Kubernetes cluster".
	What string `json:"what"`
	// Details say what about it, as "node_pool.node_count: 5 -> 2".
	Details []string `json:"details,omitempty"`
}

// String is the change in a line.
func (c Change) String() string {
	if len(c.Details) == 0 {
		return c.Action + " " + c.What
	}
	return c.Action + " " + c.What + ": " + strings.Join(c.Details, ", ")
}

// Cost is the price of one kind of resource for a month of 28 days, in US dollars
// before taxes.
type Cost struct {
	What    string  `json:"what"`
	Count   int     `json:"count"`
	Each    float64 `json:"each"`
	Dollars float64 `json:"dollars"`
	// From says where the price was read.
	From string `json:"from"`
}

// Monthly is the sum of the costs, in US dollars.
func (p *Plan) Monthly() float64 {
	var sum float64
	for _, cost := range p.Costs {
		sum += cost.Dollars
	}
	return sum
}
