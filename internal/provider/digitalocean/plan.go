package digitalocean

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"

	"berth/internal/fault"
	"berth/internal/provider"
)

// protected are the types of what holds data: no plan but that of Destroy may
// remove one, not even to make it again.
var protected = []string{clusterType, bucketType, databaseType, databaseSchemaType, registryType}

// changes are what a plan does, in words.
func changes(plan *tfjson.Plan) []provider.Change {
	list := []provider.Change{}
	for _, one := range plan.ResourceChanges {
		if one.Change == nil || one.Mode == tfjson.DataResourceMode {
			continue
		}
		if action := actionOf(one.Change); action != "" {
			list = append(list, provider.Change{Action: action, What: title(one.Address), Details: details(one.Change)})
		}
	}
	slices.SortStableFunc(list, func(a, b provider.Change) int { return cmp.Compare(a.What, b.What) })
	return list
}

// onlyOutputs reports whether a plan changes nothing but what Terraform
// remembers.
func onlyOutputs(plan *tfjson.Plan) bool {
	for _, output := range plan.OutputChanges {
		if !output.Actions.NoOp() {
			return true
		}
	}
	return false
}

func actionOf(c *tfjson.Change) string {
	switch {
	case c.Actions.Replace():
		return "replace"
	case c.Actions.Create():
		return "make"
	case c.Actions.Update():
		return "change"
	case c.Actions.Delete():
		return "remove"
	case c.Importing != nil:
		return "import"
	}
	return ""
}

// refuse returns an error that says which of a plan's changes would lose data,
// and nil when none would.
func refuse(plan *tfjson.Plan) error {
	var lost []string
	for _, one := range plan.ResourceChanges {
		if one.Change == nil || !slices.Contains(protected, one.Type) {
			continue
		}
		switch {
		case one.Change.Actions.Replace():
			line := "replace " + title(one.Address)
			if why := forcing(one.Change); len(why) > 0 {
				line += ", because of " + strings.Join(why, ", ")
			}
			lost = append(lost, line)
		case one.Change.Actions.Delete() || one.Change.Actions.Forget():
			lost = append(lost, "remove "+title(one.Address))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return fault.WithHint(errors.New("this would "+strings.Join(lost, "; and ")+": nothing was changed"),
		"take the change back in berth.yaml; berth scale changes nodes and their size, and berth destroy removes everything")
}

// forcing are the changes that make Terraform replace a thing.
func forcing(c *tfjson.Change) []string {
	var why []string
	for _, path := range c.ReplacePaths {
		steps, ok := path.([]any)
		if !ok {
			continue
		}
		if at(c.AfterUnknown, steps) == true {
			continue // it follows from another change, which is told
		}
		why = append(why, pathOf(steps)+": "+show(at(c.Before, steps))+" -> "+show(at(c.After, steps)))
	}
	return why
}

func pathOf(steps []any) string {
	var names []string
	for _, step := range steps {
		if name, ok := step.(string); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, ".")
}

// at follows a path into a decoded JSON value; nil where there is nothing.
func at(value any, steps []any) any {
	for _, step := range steps {
		switch container := value.(type) {
		case map[string]any:
			name, _ := step.(string)
			value = container[name]
		case []any:
			index, ok := toIndex(step)
			if !ok || index < 0 || index >= len(container) {
				return nil
			}
			value = container[index]
		default:
			return nil
		}
	}
	return value
}

func toIndex(step any) (int, bool) {
	switch number := step.(type) {
	case float64:
		return int(number), true
	case json.Number:
		index, err := number.Int64()
		return int(index), err == nil
	}
	return 0, false
}

// details are the attributes that a change of something which is there
// changes. Those that are only known afterwards are not told.
func details(c *tfjson.Change) []string {
	if !c.Actions.Update() && !c.Actions.Replace() {
		return nil
	}
	var lines []string
	compare(&lines, "", c.Before, c.After, c.AfterUnknown, hidden{c.BeforeSensitive, c.AfterSensitive})
	return lines
}

// hidden are the parts of two values that must not be shown.
type hidden [2]any

func (h hidden) any() bool { return h[0] == true || h[1] == true }

func (h hidden) under(step any) hidden {
	return hidden{at(h[0], []any{step}), at(h[1], []any{step})}
}

func compare(lines *[]string, path string, before, after, unknown any, secret hidden) {
	if unknown == true {
		return
	}
	old, isObject := before.(map[string]any)
	changed, also := after.(map[string]any)
	if isObject && also && !secret.any() {
		names := slices.Sorted(maps.Keys(old))
		for name := range changed {
			if _, ok := old[name]; !ok {
				names = append(names, name)
			}
		}
		for _, name := range names {
			compare(lines, join(path, name), old[name], changed[name], at(unknown, []any{name}), secret.under(name))
		}
		return
	}
	oldList, isList := before.([]any)
	newList, also := after.([]any)
	if isList && also && len(oldList) == len(newList) && !secret.any() {
		for i := range oldList {
			// Most lists of the plugin hold one block; an index would only
			// disturb there.
			name := path
			if len(oldList) > 1 {
				name = fmt.Sprintf("%s[%d]", path, i)
			}
			compare(lines, name, oldList[i], newList[i], at(unknown, []any{float64(i)}), secret.under(float64(i)))
		}
		return
	}
	if show(before) == show(after) {
		return
	}
	if secret.any() {
		*lines = append(*lines, path+": (secret)")
		return
	}
	*lines = append(*lines, path+": "+show(before)+" -> "+show(after))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// show writes a value as people would.
func show(value any) string {
	switch value := value.(type) {
	case nil:
		return "none"
	case string:
		return value
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// warnings are the module's checks that did not hold.
func warnings(plan *tfjson.Plan) []string {
	var lines []string
	for _, check := range plan.Checks {
		if check.Status != tfjson.CheckStatusFail {
			continue
		}
		for _, instance := range check.Instances {
			for _, problem := range instance.Problems {
				lines = append(lines, problem.Message)
			}
		}
	}
	return lines
}
