package fake

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/digitalocean/godo"
)

// Database is a database cluster with what the API tells of it elsewhere.
type Database struct {
	godo.Database
	Rules []*godo.DatabaseFirewallRule `json:"fake_rules"`
	// Changed is when its making or resizing began.
	Changed time.Time `json:"fake_changed"`
}

func (f *Fake) routeDatabases() {
	const databases = "/v2/databases"
	const single = databases + "/{database}"
	f.handle("GET "+databases, list("databases", func(*http.Request) []*godo.Database {
		var all []*godo.Database
		for _, d := range f.account.Databases {
			all = append(all, &d.Database)
		}
		return all
	}))
	f.handle("POST "+databases, f.createDatabase)
	f.handle("GET "+single, f.withDatabase(func(_ *http.Request, d *Database) (int, any, error) {
		return http.StatusOK, map[string]any{"database": d.Database}, nil
	}))
	f.handle("DELETE "+single, f.withDatabase(func(_ *http.Request, d *Database) (int, any, error) {
		f.unassign(databaseURN(d.ID))
		f.account.Databases = slices.DeleteFunc(f.account.Databases, func(o *Database) bool { return o.ID == d.ID })
		return http.StatusNoContent, nil, nil
	}))
	f.handle("PUT "+single+"/resize", f.withDatabase(func(r *http.Request, d *Database) (int, any, error) {
		var request godo.DatabaseResizeRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		d.SizeSlug, d.NumNodes = orElse(request.SizeSlug, d.SizeSlug), max(request.NumNodes, 1)
		d.Status, d.Changed = "resizing", f.options.Now().UTC()
		return http.StatusAccepted, nil, nil
	}))
	f.handle("PUT "+single+"/upgrade", f.withDatabase(func(r *http.Request, d *Database) (int, any, error) {
		var request godo.UpgradeVersionRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		to, err := strconv.Atoi(request.Version)
		from, _ := strconv.Atoi(d.VersionSlug) // It was validated when it was made.
		if err != nil || to <= from {
			return 0, nil, unprocessable("the version can only be raised")
		}
		d.VersionSlug = request.Version
		return http.StatusNoContent, nil, nil
	}))
	f.handle("PUT "+single+"/maintenance", f.withDatabase(func(r *http.Request, d *Database) (int, any, error) {
		var request godo.DatabaseUpdateMaintenanceRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		d.MaintenanceWindow = &godo.DatabaseMaintenanceWindow{Day: request.Day, Hour: request.Hour + ":00"}
		return http.StatusNoContent, nil, nil
	}))
	f.handle("GET "+single+"/ca", f.withDatabase(func(*http.Request, *Database) (int, any, error) {
		return http.StatusOK, map[string]any{"ca": godo.DatabaseCA{Certificate: []byte("no certificate")}}, nil
	}))
	f.handle("GET "+single+"/firewall", f.withDatabase(func(_ *http.Request, d *Database) (int, any, error) {
		return http.StatusOK, map[string]any{"rules": append([]*godo.DatabaseFirewallRule{}, d.Rules...)}, nil
	}))
	f.handle("PUT "+single+"/firewall", f.withDatabase(func(r *http.Request, d *Database) (int, any, error) {
		var request godo.DatabaseUpdateFirewallRulesRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		for _, rule := range request.Rules {
			rule.UUID, rule.ClusterUUID = orElse(rule.UUID, newID()), d.ID
			if rule.CreatedAt.IsZero() {
				rule.CreatedAt = f.options.Now().UTC()
			}
		}
		d.Rules = request.Rules
		return http.StatusNoContent, nil, nil
	}))

	const dbs = single + "/dbs"
	f.handle("GET "+dbs, f.withDatabase(func(r *http.Request, d *Database) (int, any, error) {
		all := make([]godo.DatabaseDB, len(d.DBNames))
		for i, name := range d.DBNames {
			all[i] = godo.DatabaseDB{Name: name}
		}
		body, err := page(r, "dbs", all)
		return http.StatusOK, body, err
	}))
	f.handle("POST "+dbs, f.withDatabase(func(r *http.Request, d *Database) (int, any, error) {
		var request godo.DatabaseCreateDBRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		if slices.Contains(d.DBNames, request.Name) {
			return 0, nil, unprocessable("database name is not available")
		}
		d.DBNames = append(d.DBNames, request.Name)
		return http.StatusCreated, map[string]any{"db": godo.DatabaseDB(request)}, nil
	}))
	f.handle("GET "+dbs+"/{db}", f.withDatabase(func(r *http.Request, d *Database) (int, any, error) {
		if !slices.Contains(d.DBNames, r.PathValue("db")) {
			return 0, nil, errNotFound
		}
		return http.StatusOK, map[string]any{"db": godo.DatabaseDB{Name: r.PathValue("db")}}, nil
	}))
	f.handle("DELETE "+dbs+"/{db}", f.withDatabase(func(r *http.Request, d *Database) (int, any, error) {
		if !slices.Contains(d.DBNames, r.PathValue("db")) {
			return 0, nil, errNotFound
		}
		d.DBNames = slices.DeleteFunc(d.DBNames, func(name string) bool { return name == r.PathValue("db") })
		return http.StatusNoContent, nil, nil
	}))
}

func (f *Fake) withDatabase(work func(*http.Request, *Database) (int, any, error)) endpoint {
	return with(func(r *http.Request) (*Database, error) {
		return find(f.account.Databases, func(d *Database) bool { return d.ID == r.PathValue("database") })
	}, work)
}

func (f *Fake) createDatabase(r *http.Request) (int, any, error) {
	var request godo.DatabaseCreateRequest
	if err := decode(r, &request); err != nil {
		return 0, nil, err
	}
	_, err := strconv.Atoi(request.Version)
	switch {
	case slices.ContainsFunc(f.account.Databases, func(d *Database) bool { return d.Name == request.Name }):
		return 0, nil, unprocessable("cluster name is not available")
	case !knownRegion(request.Region):
		return 0, nil, unprocessable("invalid region")
	case request.EngineSlug != "pg" || err != nil:
		return 0, nil, unprocessable("invalid engine or version")
	case request.SizeSlug == "" || request.NumNodes < 1:
		return 0, nil, unprocessable("invalid size")
	}
	now := f.options.Now().UTC()
	password := "AVNS_" + newSecret(12)
	connection := func(host string) *godo.DatabaseConnection {
		return &godo.DatabaseConnection{
			Protocol: "postgresql", Host: host, Port: 25060, User: "doadmin", Password: password, Database: "defaultdb", SSL: true,
			URI: fmt.Sprintf("postgresql://doadmin:%s@%s:25060/defaultdb?sslmode=require", password, host),
		}
	}
	host := fmt.Sprintf("%s-do-user-1-0.%s.db.ondigitalocean.com", request.Name, newSecret(3))
	d := &Database{Changed: now, Database: godo.Database{
		ID: newID(), Name: request.Name, EngineSlug: request.EngineSlug, VersionSlug: request.Version, SizeSlug: request.SizeSlug,
		NumNodes: request.NumNodes, RegionSlug: request.Region, Status: "creating", CreatedAt: now,
		Connection: connection(host), PrivateConnection: connection("private-" + host),
		DBNames: []string{"defaultdb"}, PrivateNetworkUUID: request.PrivateNetworkUUID, Tags: request.Tags,
		ProjectID: request.ProjectID, StorageSizeMib: max(request.StorageSizeMib, 10240),
		MaintenanceWindow: &godo.DatabaseMaintenanceWindow{Day: "sunday", Hour: "02:00:00"},
	}}
	f.account.Databases = append(f.account.Databases, d)
	f.assignToDefault(databaseURN(d.ID))
	f.account.advance(f.options.Now(), f.options.Delay)
	return http.StatusCreated, map[string]any{"database": d.Database}, nil
}
