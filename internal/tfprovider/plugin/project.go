package plugin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

func projectResource() *resource {
	read := func(ctx context.Context, c *clients, state object) (object, error) {
		project, _, err := c.api.Projects.Get(ctx, state.text("id"))
		if err != nil {
			// The real plugin takes a project that is gone for an error, too.
			return nil, fmt.Errorf("error reading Project: %w", err)
		}
		urns, err := projectURNs(ctx, c, project.ID)
		if err != nil {
			return nil, fmt.Errorf("error reading Project: %w", err)
		}
		for name, value := range map[string]any{
			"name": project.Name, "purpose": strings.TrimPrefix(project.Purpose, "Other: "), "description": project.Description,
			"environment": project.Environment, "is_default": project.IsDefault, "owner_uuid": project.OwnerUUID,
			"owner_id": float64(project.OwnerID), "created_at": project.CreatedAt, "updated_at": project.UpdatedAt, "resources": list(urns),
		} {
			state[name] = value
		}
		return state, nil
	}
	return &resource{
		defaults: map[string]any{"description": "", "purpose": "Web Application", "is_default": false},
		suppress: func(prior, planned object) {
			if strings.EqualFold(prior.text("environment"), planned.text("environment")) {
				planned["environment"] = prior["environment"]
			}
		},
		create: func(ctx context.Context, c *clients, planned object) (object, error) {
			project, _, err := c.api.Projects.Create(ctx, &godo.CreateProjectRequest{
				Name: planned.text("name"), Purpose: planned.text("purpose"), Description: planned.text("description"), Environment: planned.text("environment"),
			})
			if err != nil {
				return nil, fmt.Errorf("error creating Project: %w", err)
			}
			planned["id"] = project.ID
			if err := assign(ctx, c, project.ID, planned.texts("resources")); err != nil {
				return planned, fmt.Errorf("error creating Project: %w", err)
			}
			return read(ctx, c, settle(planned))
		},
		read: read,
		update: func(ctx context.Context, c *clients, prior, planned object) (object, error) {
			id := prior.text("id")
			if _, _, err := c.api.Projects.Update(ctx, id, &godo.UpdateProjectRequest{
				Name: planned.text("name"), Description: planned.text("description"), Purpose: planned.text("purpose"),
				Environment: planned.text("environment"), IsDefault: planned.flag("is_default"),
			}); err != nil {
				return nil, fmt.Errorf("error updating Project: %w", err)
			}
			if err := reassign(ctx, c, id, prior.texts("resources"), planned.texts("resources")); err != nil {
				return nil, fmt.Errorf("error Updating project: %w", err)
			}
			return read(ctx, c, planned)
		},
		remove: func(ctx context.Context, c *clients, state object) error {
			if err := assign(ctx, c, godo.DefaultProject, state.texts("resources")); err != nil {
				return fmt.Errorf("error assigning resource to default project: %w", err)
			}
			var last error
			err := wait(ctx, state, "delete", 3*time.Minute, func() (bool, error) {
				_, last = c.api.Projects.Delete(ctx, state.text("id"))
				return !hasStatus(last, http.StatusPreconditionFailed), nil
			})
			if last != nil {
				err = last
			}
			if err != nil {
				return fmt.Errorf("error deleting project (%s): %w", state.text("id"), err)
			}
			return nil
		},
		imported: byID,
	}
}

// projectResourcesResource minds the resources that it was given, and no others
// in the project.
func projectResourcesResource() *resource {
	read := func(ctx context.Context, c *clients, state object) (object, error) {
		id := state.text("id")
		if _, _, err := c.api.Projects.Get(ctx, id); gone(err) {
			return nil, nil
		} else if err != nil {
			return nil, fmt.Errorf("error while retrieving project: %w", err)
		}
		urns, err := projectURNs(ctx, c, id)
		if err != nil {
			return nil, fmt.Errorf("error while retrieving project resources: %w", err)
		}
		own := slices.DeleteFunc(state.texts("resources"), func(urn string) bool { return !slices.Contains(urns, urn) })
		state["project"], state["resources"] = id, list(own)
		return state, nil
	}
	return &resource{
		forceNew: []string{"project"},
		create: func(ctx context.Context, c *clients, planned object) (object, error) {
			id := planned.text("project")
			if err := assign(ctx, c, id, planned.texts("resources")); err != nil {
				return nil, fmt.Errorf("error assigning resources to project %s: %w", id, err)
			}
			planned["id"] = id
			return read(ctx, c, planned)
		},
		read: read,
		update: func(ctx context.Context, c *clients, prior, planned object) (object, error) {
			id := prior.text("id")
			if err := reassign(ctx, c, id, prior.texts("resources"), planned.texts("resources")); err != nil {
				return nil, fmt.Errorf("error assigning resources to project %s: %w", id, err)
			}
			return read(ctx, c, planned)
		},
		remove: func(ctx context.Context, c *clients, state object) error {
			if _, _, err := c.api.Projects.Get(ctx, state.text("project")); gone(err) {
				return nil
			}
			if err := assign(ctx, c, godo.DefaultProject, state.texts("resources")); err != nil {
				return fmt.Errorf("error assigning resources to default project: %w", err)
			}
			return nil
		},
	}
}

// reassign moves what is no longer wanted to the default project, and what is new
// to this one.
func reassign(ctx context.Context, c *clients, project string, before, after []string) error {
	missing := func(from, in []string) []string {
		return slices.DeleteFunc(slices.Clone(from), func(urn string) bool { return slices.Contains(in, urn) })
	}
	if err := assign(ctx, c, godo.DefaultProject, missing(before, after)); err != nil {
		return err
	}
	return assign(ctx, c, project, missing(after, before))
}

func assign(ctx context.Context, c *clients, project string, urns []string) error {
	if len(urns) == 0 {
		return nil
	}
	if project == godo.DefaultProject {
		standard, _, err := c.api.Projects.GetDefault(ctx)
		if err != nil {
			return fmt.Errorf("error locating default project %w", err)
		}
		project = standard.ID
	}
	if _, _, err := c.api.Projects.AssignResources(ctx, project, list(urns)...); err != nil {
		return fmt.Errorf("error assigning resources: %w", err)
	}
	return nil
}

func projectURNs(ctx context.Context, c *clients, id string) ([]string, error) {
	var urns []string
	options := &godo.ListOptions{PerPage: 200}
	for {
		resources, response, err := c.api.Projects.ListResources(ctx, id, options)
		if err != nil {
			return nil, err
		}
		for _, resource := range resources {
			urns = append(urns, resource.URN)
		}
		if response.Links == nil || response.Links.IsLastPage() {
			return urns, nil
		}
		page, err := response.Links.CurrentPage()
		if err != nil {
			return nil, err
		}
		options.Page = page + 1
	}
}
