package scaffold

import (
	"encoding/json"
	"strings"
)

// appJSON is what Heroku's app.json says of an application.
type appJSON struct {
	Env       map[string]json.RawMessage        `json:"env"`
	Addons    []json.RawMessage                 `json:"addons"`
	Formation map[string]struct{ Quantity int } `json:"formation"`
	Scripts   struct {
		Postdeploy string `json:"postdeploy"`
	} `json:"scripts"`
	Buildpacks []json.RawMessage `json:"buildpacks"`
}

func (d *Draft) readAppJSON() error {
	name, text, err := d.source("app.json")
	if err != nil || name == "" || len(d.Sources) == 0 {
		return err
	}
	var app appJSON
	if err := json.Unmarshal(text, &app); err != nil {
		return nil // other tools have an app.json too
	}
	if len(app.Env)+len(app.Addons)+len(app.Formation) == 0 && app.Scripts.Postdeploy == "" {
		return nil
	}
	d.Sources = append(d.Sources, name)
	for _, addon := range app.Addons {
		plan := textOr(addon, "plan")
		kind, _, _ := strings.Cut(plan, ":")
		switch kind {
		case "heroku-postgresql":
			fill(&d.Database, "postgres")
		case "heroku-redis":
			d.addService("cache")
		default:
			d.note(name, "the add-on %.60q has no counterpart: give its address under secrets", kind)
		}
	}
	for _, variable := range sorted(app.Env) {
		value := textOr(app.Env[variable], "value")
		var more struct{ Generator string }
		if json.Unmarshal(app.Env[variable], &more); more.Generator == "secret" && isVariable(variable) && !d.knows(variable) {
			d.addSecret(variable)
			continue
		}
		d.takeVariable(name, variable, value)
	}
	for _, process := range sorted(app.Formation) {
		quantity := app.Formation[process].Quantity
		if p, ok := d.Processes[process]; ok {
			p.Replicas = max(0, quantity)
			d.Processes[process] = p
		} else if process == "web" && quantity > 0 {
			fill(&d.Replicas, quantity)
		}
	}
	if app.Scripts.Postdeploy != "" {
		d.note(name, "scripts.postdeploy runs once, after the first deploy: do it by hand with berth run")
	}
	return nil
}

// textOr reads a value that is either a text or a mapping with one below key.
func textOr(raw json.RawMessage, key string) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var mapping map[string]any
	json.Unmarshal(raw, &mapping)
	text, _ = mapping[key].(string)
	return text
}
