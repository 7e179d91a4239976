package fake

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

// Project is a project with what is in it.
type Project struct {
	godo.Project
	Resources []godo.ProjectResource `json:"fake_resources"`
}

func (f *Fake) routeProjects() {
	const projects = "/v2/projects"
	f.handle("GET "+projects, list("projects", func(*http.Request) []*godo.Project {
		var all []*godo.Project
		for _, p := range f.account.Projects {
			all = append(all, &p.Project)
		}
		return all
	}))
	f.handle("POST "+projects, func(r *http.Request) (int, any, error) {
		var request godo.CreateProjectRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		switch {
		case request.Name == "" || request.Purpose == "":
			return 0, nil, unprocessable("validation error: name and purpose are required")
		case slices.ContainsFunc(f.account.Projects, func(p *Project) bool { return p.Name == request.Name }):
			return 0, nil, &apiError{http.StatusConflict, "conflict", "name is already in use"}
		}
		stamp := f.options.Now().UTC().Format(time.RFC3339)
		p := &Project{Project: godo.Project{
			ID: newID(), OwnerUUID: ownerUUID, OwnerID: 1, Name: request.Name, Description: request.Description,
			Purpose: request.Purpose, Environment: request.Environment, CreatedAt: stamp, UpdatedAt: stamp,
		}}
		f.account.Projects = append(f.account.Projects, p)
		return http.StatusCreated, map[string]any{"project": p.Project}, nil
	})
	f.handle("GET "+projects+"/{project}", f.withProject(func(_ *http.Request, p *Project) (int, any, error) {
		return http.StatusOK, map[string]any{"project": p.Project}, nil
	}))
	f.handle("PATCH "+projects+"/{project}", f.withProject(f.updateProject))
	f.handle("PUT "+projects+"/{project}", f.withProject(f.updateProject))
	f.handle("DELETE "+projects+"/{project}", f.withProject(func(_ *http.Request, p *Project) (int, any, error) {
		if len(p.Resources) > 0 {
			return 0, nil, &apiError{http.StatusPreconditionFailed, "precondition_failed", "cannot delete a project with resources"}
		}
		if p.IsDefault {
			return 0, nil, &apiError{http.StatusPreconditionFailed, "precondition_failed", "cannot delete the default project"}
		}
		f.account.Projects = slices.DeleteFunc(f.account.Projects, func(o *Project) bool { return o.ID == p.ID })
		return http.StatusNoContent, nil, nil
	}))
	f.handle("GET "+projects+"/{project}/resources", f.withProject(func(r *http.Request, p *Project) (int, any, error) {
		body, err := page(r, "resources", p.Resources)
		return http.StatusOK, body, err
	}))
	f.handle("POST "+projects+"/{project}/resources", f.withProject(func(r *http.Request, p *Project) (int, any, error) {
		var request struct{ Resources []string }
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		assigned := []godo.ProjectResource{}
		for _, urn := range request.Resources {
			if !f.exists(urn) {
				return 0, nil, unprocessable("resource %q does not exist", urn)
			}
			assigned = append(assigned, f.assign(p, urn))
		}
		return http.StatusOK, map[string]any{"resources": assigned, "links": godo.Links{}, "meta": godo.Meta{Total: len(assigned)}}, nil
	}))
}

func (f *Fake) withProject(work func(*http.Request, *Project) (int, any, error)) endpoint {
	return with(func(r *http.Request) (*Project, error) {
		id := r.PathValue("project")
		return find(f.account.Projects, func(p *Project) bool { return p.ID == id || id == godo.DefaultProject && p.IsDefault })
	}, work)
}

func (f *Fake) updateProject(r *http.Request, p *Project) (int, any, error) {
	// Fields that are null stay as they are.
	var request struct {
		Name, Description, Purpose, Environment *string
		IsDefault                               *bool `json:"is_default"`
	}
	if err := decode(r, &request); err != nil {
		return 0, nil, err
	}
	for _, field := range []struct{ from, to *string }{
		{request.Name, &p.Name}, {request.Description, &p.Description}, {request.Purpose, &p.Purpose}, {request.Environment, &p.Environment},
	} {
		if field.from != nil {
			*field.to = *field.from
		}
	}
	if request.IsDefault != nil && *request.IsDefault {
		for _, other := range f.account.Projects {
			other.IsDefault = other == p
		}
	}
	p.UpdatedAt = f.options.Now().UTC().Format(time.RFC3339)
	return http.StatusOK, map[string]any{"project": p.Project}, nil
}

// exists reports whether a resource that can be in a project is there.
func (f *Fake) exists(urn string) bool {
	parts := strings.SplitN(urn, ":", 3)
	if len(parts) != 3 || parts[0] != "do" {
		return false
	}
	id := parts[2]
	switch parts[1] {
	case "kubernetes":
		return slices.ContainsFunc(f.account.Clusters, func(c *Cluster) bool { return c.ID == id && c.Deleted == nil })
	case "space":
		return slices.ContainsFunc(f.account.Buckets, func(b *Bucket) bool { return b.Name == id })
	case "domain":
		return slices.ContainsFunc(f.account.Domains, func(d *Domain) bool { return d.Name == id })
	case "dbaas":
		return slices.ContainsFunc(f.account.Databases, func(d *Database) bool { return d.ID == id })
	case "loadbalancer":
		return slices.ContainsFunc(f.account.LoadBalancers, func(b *LoadBalancer) bool { return b.ID == id })
	case "volume":
		return slices.ContainsFunc(f.account.Volumes, func(v *Volume) bool { return v.ID == id })
	}
	return false
}

// assign moves a resource to a project.
func (f *Fake) assign(p *Project, urn string) godo.ProjectResource {
	f.unassign(urn)
	resource := godo.ProjectResource{
		URN: urn, AssignedAt: f.options.Now().UTC().Format(time.RFC3339), Status: "assigned",
		Links: &godo.ProjectResourceLinks{Self: "https://api.digitalocean.com/v2/" + urn},
	}
	p.Resources = append(p.Resources, resource)
	// These two know their project.
	for _, d := range f.account.Databases {
		if urn == databaseURN(d.ID) {
			d.ProjectID = p.ID
		}
	}
	for _, b := range f.account.LoadBalancers {
		if urn == b.URN() {
			b.ProjectID = p.ID
		}
	}
	return resource
}

// unassign takes a resource out of the project that it is in.
func (f *Fake) unassign(urn string) {
	for _, p := range f.account.Projects {
		p.Resources = slices.DeleteFunc(p.Resources, func(r godo.ProjectResource) bool { return r.URN == urn })
	}
}

// assignToDefault puts a new resource where all new resources go.
func (f *Fake) assignToDefault(urn string) {
	for _, p := range f.account.Projects {
		if p.IsDefault {
			f.assign(p, urn)
			return
		}
	}
}

// assignBesideCluster puts what Kubernetes made into the project of its cluster.
func (f *Fake) assignBesideCluster(urn string, tags []string) {
	for _, p := range f.account.Projects {
		for _, resource := range p.Resources {
			if id, ok := strings.CutPrefix(resource.URN, "do:kubernetes:"); ok && slices.Contains(tags, "k8s:"+id) {
				f.assign(p, urn)
				return
			}
		}
	}
	f.assignToDefault(urn)
}

// databaseURN names a database as the API does, which calls it dbaas there.
func databaseURN(id string) string { return godo.ToURN("dbaas", id) }
