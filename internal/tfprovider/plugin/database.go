package plugin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

func databaseResource() *resource {
	return &resource{
		forceNew: []string{"name", "engine", "private_network_uuid", "project_id"},
		// The API adds the seconds.
		suppress: func(prior, planned object) {
			before, after := prior.one("maintenance_window"), planned.one("maintenance_window")
			if after != nil && strings.TrimSuffix(before.text("hour"), ":00") == after.text("hour") {
				after["hour"] = before["hour"]
			}
		},
		create: createDatabase, read: readDatabase, update: updateDatabase,
		remove: func(ctx context.Context, c *clients, state object) error {
			if _, err := c.api.Databases.Delete(ctx, state.text("id")); err != nil {
				return fmt.Errorf("error deleting database cluster: %w", err)
			}
			return nil
		},
		imported: byID,
	}
}

func createDatabase(ctx context.Context, c *clients, planned object) (object, error) {
	request := &godo.DatabaseCreateRequest{
		Name: planned.text("name"), EngineSlug: planned.text("engine"), Version: planned.text("version"), SizeSlug: planned.text("size"),
		Region: planned.text("region"), NumNodes: planned.number("node_count"), Tags: planned.texts("tags"),
		PrivateNetworkUUID: planned.text("private_network_uuid"), ProjectID: planned.text("project_id"),
	}
	database, _, err := c.api.Databases.Create(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("error creating database cluster: %w", err)
	}
	if err := waitForDatabase(ctx, c, planned, database.ID); err != nil {
		return nil, fmt.Errorf("error creating database cluster: %w", err)
	}
	planned["id"] = database.ID
	if err := setWindow(ctx, c, planned); err != nil {
		return planned, err
	}
	return readDatabase(ctx, c, settle(planned))
}

func waitForDatabase(ctx context.Context, c *clients, o object, id string) error {
	err := wait(ctx, o, "create", 30*time.Minute, func() (bool, error) {
		database, _, err := c.api.Databases.Get(ctx, id)
		if err != nil {
			return false, fmt.Errorf("error trying to read database cluster state: %w", err)
		}
		return database.Status == "online", nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("timeout waiting to database cluster to become online")
	}
	return err
}

func setWindow(ctx context.Context, c *clients, o object) error {
	window := o.one("maintenance_window")
	if window == nil {
		return nil
	}
	request := &godo.DatabaseUpdateMaintenanceRequest{Day: window.text("day"), Hour: window.text("hour")}
	if _, err := c.api.Databases.UpdateMaintenance(ctx, o.text("id"), request); err != nil {
		return fmt.Errorf("error adding maintenance window for database cluster: %w", err)
	}
	return nil
}

func readDatabase(ctx context.Context, c *clients, state object) (object, error) {
	database, _, err := c.api.Databases.Get(ctx, state.text("id"))
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("error retrieving database cluster: %w", err)
	}
	for name, value := range map[string]any{
		"name": database.Name, "engine": database.EngineSlug, "version": database.VersionSlug, "size": database.SizeSlug,
		"region": database.RegionSlug, "node_count": float64(database.NumNodes), "storage_size_mib": strconv.FormatUint(database.StorageSizeMib, 10),
		"tags": list(database.Tags), "urn": "do:dbaas:" + database.ID, "private_network_uuid": database.PrivateNetworkUUID,
		"project_id": database.ProjectID, "metrics_endpoints": []any{},
		"ui_host": "", "ui_port": 0.0, "ui_uri": "", "ui_database": "", "ui_user": "", "ui_password": "",
	} {
		state[name] = value
	}
	if connection := database.Connection; connection != nil {
		state["host"], state["port"], state["uri"] = connection.Host, float64(connection.Port), connection.URI
		state["database"], state["user"], state["password"] = connection.Database, connection.User, connection.Password
	}
	if connection := database.PrivateConnection; connection != nil {
		state["private_host"], state["private_uri"] = connection.Host, connection.URI
	}
	// A window that nobody asked for is none of the resource's business.
	if window := database.MaintenanceWindow; window != nil && state.one("maintenance_window") != nil {
		state["maintenance_window"] = []any{object{"day": window.Day, "hour": window.Hour}}
	}
	return state, nil
}

func updateDatabase(ctx context.Context, c *clients, prior, planned object) (object, error) {
	id := prior.text("id")
	if changed(prior, planned, "size", "node_count") {
		if _, err := c.api.Databases.Resize(ctx, id, &godo.DatabaseResizeRequest{SizeSlug: planned.text("size"), NumNodes: planned.number("node_count")}); err != nil {
			return nil, fmt.Errorf("error resizing database cluster: %w", err)
		}
		if err := waitForDatabase(ctx, c, planned, id); err != nil {
			return nil, fmt.Errorf("error resizing database cluster: %w", err)
		}
	}
	if changed(prior, planned, "region") {
		return nil, errors.New("error migrating database cluster: the fake moves no databases")
	}
	if changed(prior, planned, "maintenance_window") {
		if err := setWindow(ctx, c, planned); err != nil {
			return nil, err
		}
	}
	if changed(prior, planned, "version") {
		if _, err := c.api.Databases.UpgradeMajorVersion(ctx, id, &godo.UpgradeVersionRequest{Version: planned.text("version")}); err != nil {
			return nil, fmt.Errorf("error upgrading version for database cluster: %w", err)
		}
	}
	return readDatabase(ctx, c, planned)
}

func databaseDBResource() *resource {
	read := func(ctx context.Context, c *clients, state object) (object, error) {
		_, _, err := c.api.Databases.GetDB(ctx, state.text("cluster_id"), state.text("name"))
		if gone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("error retrieving Database DB: %w", err)
		}
		return state, nil
	}
	return &resource{
		forceNew: []string{"cluster_id", "name"},
		create: func(ctx context.Context, c *clients, planned object) (object, error) {
			cluster, name := planned.text("cluster_id"), planned.text("name")
			if _, _, err := c.api.Databases.CreateDB(ctx, cluster, &godo.DatabaseCreateDBRequest{Name: name}); err != nil {
				return nil, fmt.Errorf("error creating Database DB: %w", err)
			}
			planned["id"] = cluster + "/database/" + name
			return read(ctx, c, planned)
		},
		read:   read,
		update: func(_ context.Context, _ *clients, _, planned object) (object, error) { return planned, nil },
		remove: func(ctx context.Context, c *clients, state object) error {
			if _, err := c.api.Databases.DeleteDB(ctx, state.text("cluster_id"), state.text("name")); err != nil {
				return fmt.Errorf("error deleting Database DB: %w", err)
			}
			return nil
		},
		imported: func(_ context.Context, _ *clients, id string) (object, error) {
			cluster, name, ok := strings.Cut(id, ",")
			if !ok {
				return nil, errors.New("must use the ID of the source database cluster and the name of the database joined with a comma")
			}
			return object{"id": cluster + "/database/" + name, "cluster_id": cluster, "name": name}, nil
		},
	}
}

func databaseFirewallResource() *resource {
	read := func(ctx context.Context, c *clients, state object) (object, error) {
		rules, _, err := c.api.Databases.GetFirewallRules(ctx, state.text("cluster_id"))
		if gone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("error retrieving DatabaseFirewall: %w", err)
		}
		all := make([]any, len(rules))
		for i, rule := range rules {
			all[i] = object{"uuid": rule.UUID, "type": rule.Type, "value": rule.Value, "created_at": rule.CreatedAt.Format(time.RFC3339)}
		}
		state["rule"] = all
		return state, nil
	}
	set := func(ctx context.Context, c *clients, o object) error {
		request := &godo.DatabaseUpdateFirewallRulesRequest{Rules: []*godo.DatabaseFirewallRule{}}
		for _, rule := range o.blocks("rule") {
			request.Rules = append(request.Rules, &godo.DatabaseFirewallRule{UUID: rule.text("uuid"), Type: rule.text("type"), Value: rule.text("value")})
		}
		_, err := c.api.Databases.UpdateFirewallRules(ctx, o.text("cluster_id"), request)
		return err
	}
	newID := func(cluster string) string { return fmt.Sprintf("%s-%d", cluster, time.Now().UnixNano()) }
	return &resource{
		forceNew: []string{"cluster_id"},
		create: func(ctx context.Context, c *clients, planned object) (object, error) {
			if err := set(ctx, c, planned); err != nil {
				return nil, fmt.Errorf("error creating DatabaseFirewall: %w", err)
			}
			planned["id"] = newID(planned.text("cluster_id"))
			return read(ctx, c, settle(planned))
		},
		read: read,
		update: func(ctx context.Context, c *clients, _, planned object) (object, error) {
			if err := set(ctx, c, planned); err != nil {
				return nil, fmt.Errorf("error updating DatabaseFirewall: %w", err)
			}
			return read(ctx, c, settle(planned))
		},
		remove: func(ctx context.Context, c *clients, state object) error {
			if err := set(ctx, c, object{"cluster_id": state["cluster_id"]}); err != nil {
				return fmt.Errorf("error deleting DatabaseFirewall: %w", err)
			}
			return nil
		},
		imported: func(_ context.Context, _ *clients, id string) (object, error) {
			return object{"id": newID(id), "cluster_id": id}, nil
		},
	}
}
