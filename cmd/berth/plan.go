package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/provider"
)

type planOptions struct{ plan, json bool }

// plan says what init would do, and does nothing.
func (a *app) plan(ctx context.Context, o planOptions) error {
	c, p, err := a.open("")
	if err != nil {
		return err
	}
	planner, ok := p.(provider.Planner)
	if !ok {
		return fault.WithHint(fault.Usage("the provider %s has no plan to show", c.Provider), "berth doctor says what is missing")
	}
	plan, err := planner.Plan(ctx, a.console.Reporter())
	if err != nil {
		return err
	}
	if o.json {
		err = a.console.JSON(struct {
			*provider.Plan
			Monthly float64 `json:"monthly"`
		}{plan, plan.Monthly()})
	} else {
		a.printChanges(plan)
	}
	if err == nil && plan.Refused != "" {
		return errReported
	}
	return err
}

// askForMoney shows a person what is about to be made and paid for. A script
// has said what it wants by calling berth.
func (a *app) askForMoney(ctx context.Context, p provider.Provider) error {
	planner, ok := p.(provider.Planner)
	if !ok || a.yes || !a.console.Interactive {
		return nil
	}
	plan, err := planner.Plan(ctx, a.console.Reporter())
	if err != nil || len(plan.Changes) == 0 {
		return err
	}
	a.printChanges(plan)
	if plan.Refused != "" {
		return errReported
	}
	sure, err := a.console.Confirm(ctx, fmt.Sprintf("Go on, at about $%.2f a month?", plan.Monthly()))
	if err == nil && !sure {
		return errNothingMade
	}
	return err
}

var errNothingMade = errors.New("nothing was made")

func (a *app) printChanges(plan *provider.Plan) {
	if len(plan.Changes) == 0 {
		a.console.Print("Everything is as berth.yaml and the last scale want it.")
	}
	for _, change := range plan.Changes {
		a.console.Line(" ", change.Action+" "+change.What)
		for _, detail := range change.Details {
			a.console.Line(" ", "    "+detail)
		}
	}
	a.console.Print("")
	var rows [][]string
	for _, cost := range plan.Costs {
		rows = append(rows, []string{cost.What, strconv.Itoa(cost.Count), dollars(cost.Each), dollars(cost.Dollars), cost.From})
	}
	rows = append(rows, []string{"together, before taxes", "", "", dollars(plan.Monthly()), ""})
	a.console.Table([]string{"COSTS A MONTH", "COUNT", "EACH", "TOGETHER", "FROM"}, rows)
	if len(plan.Notes) > 0 || plan.Refused != "" {
		a.console.Print("")
	}
	for _, note := range plan.Notes {
		a.console.Line(console.Warn, note)
	}
	if plan.Refused != "" {
		a.console.Line(console.Bad, "berth init would refuse: "+plan.Refused)
	}
}

func dollars(amount float64) string { return fmt.Sprintf("$%.2f", amount) }
